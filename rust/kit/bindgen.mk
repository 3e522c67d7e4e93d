# SPDX-License-Identifier: GPL-2.0-only
#
# Private bindings for a driver's folder: C headers in, Rust out, with the
# very flags the kernel itself gives bindgen. Needs no kit crate.
#
#	obj-m := demo.o
#	demo-y := main.o helpers.o
#	r4l-bindgen := demo_bindings.h
#	R4L_BINDGEN_FLAGS_demo_bindings := --allowlist-function 'demo_.*'
#	include $(R4L_KIT)/bindgen.mk
#
# makes $(obj)/r4l/demo_bindings.rs from $(src)/demo_bindings.h. A Rust file
# includes it with
#
#	include!(concat!(env!("R4L_GEN"), "/demo_bindings.rs"));
#
# and is compiled again when a header behind it changes. C helpers for inline
# functions are ordinary objects of the composite module (helpers.o above).
#
# Variables that this file reads:
#	r4l-bindgen                headers in $(src), NAME.h
#	R4L_BINDGEN_FLAGS_<NAME>   more flags for bindgen
#	R4L_BINDGEN_CFLAGS_<NAME>  more flags for the C parser
#	R4L_BINDGEN_SED_<NAME>     a script for sed -E, run on what bindgen wrote

# Makefile.modpost and Makefile.clean read a Kbuild file too, and build nothing.
ifneq ($(filter %/Makefile.build,$(MAKEFILE_LIST)),)
ifndef r4l-bindgen-rules

# Where generated files go, below $(obj).
r4l-gen ?= r4l

# rust/Makefile itself has it.
ifeq ($(value bindgen_c_flags_final),)

# rust/Makefile cannot be included (it adds to obj-y), so its block that turns
# gcc's flags into flags for libclang is cut out of it.
r4l-bindgen-block := $(obj)/$(r4l-gen)/.bindgen_c_flags.mk
$(shell mkdir -p $(obj)/$(r4l-gen); \
	sed -n '/^ifdef CONFIG_CC_IS_CLANG/,/^bindgen_c_flags_final/p' \
		$(srctree)/rust/Makefile > $(r4l-bindgen-block).$$$$; \
	cmp -s $(r4l-bindgen-block).$$$$ $(r4l-bindgen-block) && \
		rm -f $(r4l-bindgen-block).$$$$ || \
		mv $(r4l-bindgen-block).$$$$ $(r4l-bindgen-block))
include $(r4l-bindgen-block)

ifeq ($(value bindgen_c_flags_final),)
$(error $(srctree)/rust/Makefile has no bindgen_c_flags_final: this kernel is unknown to r4l's bindgen.mk)
endif

endif # bindgen_c_flags_final

# The attribute cfi_encoding is an unstable feature that external modules may not use. Only a
# kernel that checks the types of indirect calls has a use for it.
r4l-bindgen-skip := ^\#|^$$$(if $(CONFIG_CFI),,|cfi_encoding)

# Written beside and renamed: of a bindgen that was killed there is no half a file, newer than all that it is made from.
# Layout tests stay on, other than in the kernel: they are what finds a struct
# that bindgen got wrong.
quiet_cmd_r4l_bindgen = BINDGEN $@
      cmd_r4l_bindgen = \
	$(BINDGEN) $< $(r4l_bindgen_flags) --rust-target 1.85 \
		--use-core --ctypes-prefix ffi \
		--no-debug '.*' --enable-function-attribute-detection \
		-o $@.partial -- $(bindgen_c_flags_final) -DMODULE $(r4l_bindgen_cflags) ; \
	$(if $(r4l_bindgen_sed),sed -Ei $(r4l_bindgen_sed) $@.partial ;) \
	mv $@.partial $@

# $(call r4l-bindgen-rules,NAME,HEADER)
define r4l-bindgen-rules
targets += $(r4l-gen)/$(1).rs
$(obj)/$(r4l-gen)/$(1).rs: private r4l_bindgen_flags = \
	$$(shell grep -Ev '$$(r4l-bindgen-skip)' $(srctree)/rust/bindgen_parameters) $$(R4L_BINDGEN_FLAGS_$(1))
$(obj)/$(r4l-gen)/$(1).rs: private r4l_bindgen_cflags = $$(R4L_BINDGEN_CFLAGS_$(1))
$(obj)/$(r4l-gen)/$(1).rs: private r4l_bindgen_sed = $$(R4L_BINDGEN_SED_$(1))
$(obj)/$(r4l-gen)/$(1).rs: $(2) $(srctree)/rust/bindgen_parameters FORCE
	$$(call if_changed_dep,r4l_bindgen)
endef

# The objects of this folder that have a Rust source here.
r4l-rust-objs = $(sort $(foreach m,$(patsubst %.o,%,$(filter %.o,$(obj-y) $(obj-m))), \
	$(foreach o,$(or $($(m)-y),$(m).o),$(if $(wildcard $(src)/$(o:.o=.rs)),$(o)))))

endif # r4l-bindgen-rules

r4l-bindgen-names := $(patsubst %.h,%,$(filter-out $(r4l-bindgen-done),$(r4l-bindgen)))
$(foreach n,$(r4l-bindgen-names),$(eval $(call r4l-bindgen-rules,$(n),$(src)/$(n).h)))
r4l-bindgen-done += $(addsuffix .h,$(r4l-bindgen-names))

ifneq ($(r4l-bindgen-names),)
$(addprefix $(obj)/,$(r4l-rust-objs)): export R4L_GEN := $(abspath $(obj))/$(r4l-gen)
$(addprefix $(obj)/,$(r4l-rust-objs)): $(patsubst %,$(obj)/$(r4l-gen)/%.rs,$(r4l-bindgen-names))
endif

endif # Makefile.build

clean-files += r4l
