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
# and all those of bindgen.mk.

r4l-kit-dir := $(realpath $(dir $(lastword $(MAKEFILE_LIST))))

include $(r4l-kit-dir)/bindgen.mk

r4l-kit-modules ?= $(patsubst %.o,%,$(filter %.o,$(obj-m)))

ifneq ($(filter %/Makefile.build,$(MAKEFILE_LIST)),)

$(foreach m,$(r4l-kit-modules),$(if $($(m)-y),, \
	$(error $(kbuild-file): a module with the kit is composite: say "$(m)-y := main.o", with main.rs as its source)))

r4l-kit-users := $(sort $(foreach m,$(r4l-kit-modules), \
	$(foreach o,$($(m)-y),$(if $(wildcard $(src)/$(o:.o=.rs)),$(o)))))

# Only both or none of these two are of use.
ifeq ($(wildcard $(obj)/r4l/libkit.rmeta),)
$(shell rm -f $(obj)/r4l/kit.o)
endif

# The driver's side.
$(foreach o,$(r4l-kit-users),$(eval RUSTFLAGS_$(o) += --extern kit=$(obj)/r4l/libkit.rmeta))
$(addprefix $(obj)/,$(r4l-kit-users)): $(obj)/r4l/kit.o

# The kit's side: its bindings, ...
R4L_BINDGEN_FLAGS_kit_bindings = \
	$(shell grep -Ev '^#|^$$' $(r4l-kit-dir)/c/bindgen_parameters)
R4L_BINDGEN_CFLAGS_kit_bindings = -I$(r4l-kit-dir)/c -Wno-missing-prototypes ; \
	sed -Ei 's/pub fn kit_helper_([a-zA-Z0-9_]*)/\#[link_name="kit_helper_\1"]\n    pub fn \1/g' $@
$(eval $(call r4l-bindgen-rules,kit_bindings,$(r4l-kit-dir)/c/helpers.c))
$(obj)/r4l/kit_bindings.rs: $(r4l-kit-dir)/c/bindgen_parameters

# ... what gcc has to say about them, ...
quiet_cmd_r4l_layout = LAYOUT  $@
      cmd_r4l_layout = { \
	echo '// Generated from layout.c: sizes and offsets as the C compiler sees them.'; \
	sed -nE \
	-e 's/^[[:space:]]*\.ascii[[:space:]]*"->//; T' -e 's/".*//' \
	-e 's/^size ([a-z0-9_]+) ([0-9]+)$$/const _: () = assert!(::core::mem::size_of::<bindings::\1>() == \2, "size of \1");/p' \
	-e 's/^offset ([a-z0-9_]+) ([a-z0-9_.]+) ([0-9]+)$$/const _: () = assert!(::core::mem::offset_of!(bindings::\1, \2) == \3, "offset of \1.\2");/p' \
	-e 's/^const ([A-Z0-9_]+) ([0-9]+)$$/pub(crate) const \1: usize = \2;/p' $<; } > $@

targets += r4l/kit_layout.s r4l/kit_layout.rs
$(obj)/r4l/kit_layout.s: private part-of-module := y
$(obj)/r4l/kit_layout.s: private modname := kit
$(obj)/r4l/kit_layout.s: $(r4l-kit-dir)/c/layout.c FORCE
	$(call if_changed_dep,cc_s_c)
$(obj)/r4l/kit_layout.rs: $(obj)/r4l/kit_layout.s FORCE
	$(call if_changed,r4l_layout)

# ... the inline functions, ...
CFLAGS_REMOVE_r4l/kit_helpers.o = -Wmissing-prototypes -Wmissing-declarations
$(obj)/r4l/kit_helpers.o: private modname := kit
$(obj)/r4l/kit_helpers.o: $(r4l-kit-dir)/c/helpers.c FORCE
	$(call if_changed_rule,cc_o_c)

# ... and the crate. The cfg linux_X_Y says that the kernel is X.Y or newer: see src/compat.rs.
r4l-kit-since = --check-cfg='cfg(linux_$(1)_$(2))' $(if $(shell \
	test $$(($(VERSION) * 1000 + $(PATCHLEVEL))) -ge $$(($(1) * 1000 + $(2))) && echo y),--cfg linux_$(1)_$(2))
RUSTFLAGS_r4l/kit.o = --emit=metadata=$(obj)/r4l/libkit.rmeta $(call r4l-kit-since,7,3)
$(obj)/r4l/kit.o: private modfile := kit
$(obj)/r4l/kit.o: export R4L_GEN := $(abspath $(obj))/r4l
$(obj)/r4l/kit.o: $(r4l-kit-dir)/src/kit.rs $(obj)/r4l/kit_bindings.rs $(obj)/r4l/kit_layout.rs FORCE
	+$(call if_changed_rule,rustc_o_rs)

$(foreach m,$(r4l-kit-modules),$(eval $(m)-y += r4l/kit.o r4l/kit_helpers.o))

endif # Makefile.build
