# SPDX-License-Identifier: GPL-2.0-only
#
# Links the kit into every module of an out-of-tree folder, wherever that lies:
#
#	obj-m := demo.o
#	demo-y := main.o
#	include $(R4L_KIT)/kit.mk
#
# Each Rust object of a composite module may then say `use kit::...`. The kit is
# compiled into $(obj)/r4l (this folder may be read-only) and becomes a part of
# each .ko, so a loaded module needs nothing but the kernel.
#
# Variables that this file reads, all optional, all set before the include:
#	r4l-kit-modules   modules that get the kit; default: all of obj-m
#	R4L_KUNIT         y: the KUnit suites of the kit and of the driver are in the module
#	r4l-inline        y: the kernel's inline functions are inlined (inline.mk): a faster module
# and all those of bindgen.mk.
#
# In the kernel's own tree the kit is a crate of rust/, built once for all of them
# (in-tree.mk), and a driver only has to know it.

r4l-kit-dir := $(realpath $(dir $(lastword $(MAKEFILE_LIST))))

include $(r4l-kit-dir)/bindgen.mk

r4l-kit-modules ?= $(patsubst %.o,%,$(filter %.o,$(obj-y) $(obj-m)))

ifneq ($(filter %/Makefile.build,$(MAKEFILE_LIST)),)

$(foreach m,$(r4l-kit-modules),$(if $($(m)-y),, \
	$(error $(kbuild-file): a module with the kit is composite: say "$(m)-y := main.o", with main.rs as its source)))

r4l-kit-users := $(sort $(foreach m,$(r4l-kit-modules), \
	$(foreach o,$($(m)-y),$(if $(wildcard $(src)/$(o:.o=.rs)),$(o)))))

ifeq ($(KBUILD_EXTMOD),)

$(foreach o,$(r4l-kit-users),$(eval RUSTFLAGS_$(o) += --extern kit))

else

# Only both or none of these two are of use.
ifeq ($(wildcard $(obj)/r4l/libkit.rmeta),)
$(shell rm -f $(obj)/r4l/kit.o)
endif

# The driver's side.
$(foreach o,$(r4l-kit-users),$(eval RUSTFLAGS_$(o) += --extern kit=$(obj)/r4l/libkit.rmeta))
$(addprefix $(obj)/,$(r4l-kit-users)): $(obj)/r4l/kit.o

# The kit's side: what is generated for it, the inline functions, and the crate.
include $(r4l-kit-dir)/crate.mk
$(foreach o,$(r4l-kit-users),$(eval RUSTFLAGS_$(o) += $(r4l-kunit)))

CFLAGS_REMOVE_r4l/kit_helpers.o = -Wmissing-prototypes -Wmissing-declarations
$(obj)/r4l/kit_helpers.o: private modname := kit
$(obj)/r4l/kit_helpers.o: $(r4l-kit-dir)/c/helpers.c FORCE
	$(call if_changed_rule,cc_o_c)

RUSTFLAGS_r4l/kit.o = --emit=metadata=$(obj)/r4l/libkit.rmeta $(r4l-kit-cfgs)
$(obj)/r4l/kit.o: private modfile := kit
$(obj)/r4l/kit.o: export R4L_GEN := $(abspath $(obj))/r4l
$(obj)/r4l/kit.o: $(r4l-kit-dir)/src/kit.rs $(obj)/r4l/kit_bindings.rs $(obj)/r4l/kit_layout.rs FORCE
	+$(call if_changed_rule,rustc_o_rs)

include $(r4l-kit-dir)/inline.mk

ifndef r4l-inlines
$(foreach m,$(r4l-kit-modules),$(eval $(m)-y += r4l/kit.o r4l/kit_helpers.o))
endif

endif # KBUILD_EXTMOD
endif # Makefile.build
