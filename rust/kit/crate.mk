# SPDX-License-Identifier: GPL-2.0-only
#
# What is generated for the kit's crate, in $(obj)/$(r4l-gen), wherever it is built:
# as a part of an out-of-tree module (kit.mk) or in the kernel (in-tree.mk).

# Its bindings, ...
R4L_BINDGEN_FLAGS_kit_bindings = \
	$(shell grep -Ev '^#|^$$' $(r4l-kit-dir)/c/bindgen_parameters)
R4L_BINDGEN_CFLAGS_kit_bindings = -I$(r4l-kit-dir)/c -Wno-missing-prototypes
R4L_BINDGEN_SED_kit_bindings = \
	's/pub fn kit_helper_([a-zA-Z0-9_]*)/\#[link_name="kit_helper_\1"]\n    pub fn \1/g'
$(eval $(call r4l-bindgen-rules,kit_bindings,$(r4l-kit-dir)/c/helpers.c))
$(obj)/$(r4l-gen)/kit_bindings.rs: $(r4l-kit-dir)/c/bindgen_parameters

# ... the structures of ethtool's operations, found in them, which bindgen tests one by one (a field whose name is a word
# of Rust's ends with `_` there), ...
quiet_cmd_r4l_ethtool = STRUCTS $@
      cmd_r4l_ethtool = { \
	names=$$(tr -s '[:space:]' ' ' < $< | grep -oE 'pub struct ethtool_ops \{[^}]*\}' | \
		grep -owE '(kernel_)?ethtool_[A-Za-z0-9_]+' | sort -u | paste -sd '|'); \
	echo '/* Generated from kit_bindings.rs. */'; \
	grep -oE "\"(Size of|Offset of field:) ($$names)(::[A-Za-z0-9_]+)?\"" $< | sed -nE \
	-e '/::_(bitfield|_bindgen)/d' \
	-e 's/^"Size of (.*)"$$/SIZE(\1);/p' \
	-e 's/^"Offset of field: (.*)::(.*[^_])(_?)"$$/FIELD(\1, \2, \2\3);/p'; \
	} > $@; \
	grep -q '^FIELD(ethtool_ops, get_link,' $@ || \
	{ echo "$@: no test of ethtool_ops is found in $<" >&2; false; }

targets += $(r4l-gen)/kit_ethtool.h
$(obj)/$(r4l-gen)/kit_ethtool.h: $(obj)/$(r4l-gen)/kit_bindings.rs FORCE
	$(call if_changed,r4l_ethtool)

# ... what gcc has to say about them, ...
quiet_cmd_r4l_layout = LAYOUT  $@
      cmd_r4l_layout = { \
	echo '// Generated from layout.c: sizes and offsets as the C compiler sees them.'; \
	sed -nE \
	-e 's/^[[:space:]]*\.ascii[[:space:]]*"->//; T' -e 's/".*//' \
	-e 's/^size ([a-z0-9_]+) ([0-9]+)$$/const _: () = assert!(::core::mem::size_of::<bindings::\1>() == \2, "size of \1");/p' \
	-e 's/^offset ([a-z0-9_]+) ([A-Za-z0-9_.]+) ([0-9]+)$$/const _: () = assert!(::core::mem::offset_of!(bindings::\1, \2) == \3, "offset of \1.\2");/p' \
	-e 's/^const ([A-Z0-9_]+) ([0-9]+)$$/pub(crate) const \1: usize = \2;/p' $<; } > $@

targets += $(r4l-gen)/kit_layout.s $(r4l-gen)/kit_layout.rs
$(obj)/$(r4l-gen)/kit_layout.s: private part-of-module := y
$(obj)/$(r4l-gen)/kit_layout.s: private modname := kit
CFLAGS_$(r4l-gen)/kit_layout.o = -I$(abspath $(obj))/$(r4l-gen)
$(obj)/$(r4l-gen)/kit_layout.s: $(r4l-kit-dir)/c/layout.c $(obj)/$(r4l-gen)/kit_ethtool.h FORCE
	$(call if_changed_dep,cc_s_c)
$(obj)/$(r4l-gen)/kit_layout.rs: $(obj)/$(r4l-gen)/kit_layout.s FORCE
	$(call if_changed,r4l_layout)

# The cfg linux_X_Y says that the kernel is X.Y or newer: see src/compat.rs.
r4l-kit-since = --check-cfg='cfg(linux_$(1)_$(2))' $(if $(shell \
	test $$(($(VERSION) * 1000 + $(PATCHLEVEL))) -ge $$(($(1) * 1000 + $(2))) && echo y),--cfg linux_$(1)_$(2))
r4l-kit-cfgs = $(call r4l-kit-since,7,3) --check-cfg='cfg(CONFIG_PAGE_POOL)' --check-cfg='cfg(r4l_kunit)' $(r4l-kunit)

# With R4L_KUNIT=y, kit and driver have their KUnit suites in them, where the kernel has KUnit. The kernel's macros ask for
# cfgs that it does not declare.
r4l-kunit = $(if $(filter y,$(R4L_KUNIT)),--cfg r4l_kunit -Aunexpected_cfgs)
