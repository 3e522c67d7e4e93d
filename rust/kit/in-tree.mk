# SPDX-License-Identifier: GPL-2.0-only
#
# The kit in the kernel's own tree, at rust/kit: included at the end of rust/Makefile.
#
# It is a crate beside `kernel`, made by the same rules, linked into the kernel once, and exported
# to modules. So any number of drivers can have it, built in or as modules.

clean-files += kit/kit_bindings.rs kit/kit_ethtool.h kit/kit_layout.rs kit/kit_layout.s kit/exports_*_generated.h

ifdef CONFIG_R4L_KIT

r4l-kit-dir := $(realpath $(src)/kit)
r4l-gen := kit

include $(r4l-kit-dir)/bindgen.mk

obj-y += kit.o kit/c/helpers.o kit/c/exports.o
always-y += kit/exports_kit_generated.h kit/exports_helpers_generated.h

# Makefile.clean reads this too, and has no rules.
ifneq ($(filter %/Makefile.build,$(MAKEFILE_LIST)),)

include $(r4l-kit-dir)/crate.mk

CFLAGS_REMOVE_kit/c/helpers.o = -Wmissing-prototypes -Wmissing-declarations
$(obj)/kit/c/helpers.o: $(src)/kit/c/helpers.c FORCE
	+$(call if_changed_rule,rust_cc_library)

# The flags of Rust code outside of rust/, which the kit is elsewhere.
$(obj)/kit.o: private rustc_target_flags = -Zallow-features=$(rust_allowed_features) \
	-Zcrate-attr=no_std -Zcrate-attr='feature($(rust_allowed_features))' \
	--extern pin_init --extern kernel $(r4l-kit-cfgs)
$(obj)/kit.o: export R4L_GEN := $(abspath $(obj))/kit
$(obj)/kit.o: $(src)/kit/src/kit.rs $(obj)/kernel.o $(obj)/kit/kit_bindings.rs \
    $(obj)/kit/kit_layout.rs FORCE
	+$(call if_changed_rule,rustc_library)

$(obj)/kit/exports_kit_generated.h: $(obj)/kit.o FORCE
	$(call if_changed,exports)
$(obj)/kit/exports_helpers_generated.h: $(obj)/kit/c/helpers.o FORCE
	$(call if_changed,exports)

# The symbols' versions come from the objects that have them, as for rust/exports.o.
CFLAGS_kit/c/exports.o = -I$(objtree)/$(obj)/kit
$(obj)/kit/c/exports.o: private skip_gendwarfksyms = 1
$(obj)/kit/c/exports.o: $(obj)/kit/exports_kit_generated.h $(obj)/kit/exports_helpers_generated.h

endif # Makefile.build

endif # CONFIG_R4L_KIT
