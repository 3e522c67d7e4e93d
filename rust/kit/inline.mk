# SPDX-License-Identifier: GPL-2.0-only
#
# Inlines the kernel's inline functions, which Rust reaches through helpers in C, into the Rust that calls them: included
# by kit.mk. For an out-of-tree module this does what the kernel does for itself with CONFIG_RUST_INLINE_HELPERS.
#
# rustc writes LLVM's bitcode beside each object of the module and of the kit, clang that of the helpers; all of it is
# linked, optimised and compiled once, to r4l/MODULE.linked.o, which the module gets instead of the objects. Those are made
# all the same: editors, clippy and the fallback know nothing of bitcode.
#
# It needs clang, llvm-link and opt of the very LLVM that is in rustc. Without them, and for a module that does not say
# `r4l-inline := y`, the module is linked from its objects, and each helper is a call. So it is on other processors than
# x86-64: on arm64, ftrace writes before each function of clang's (-fpatchable-function-entry=4,2), and oopses at a
# helper that was linked in this way. So it is on kernels that have code instrumented to check it: the helpers would go
# unchecked (sanitizers, KCOV), or be refused at the first indirect call (kCFI).

r4l-instrumented := $(CONFIG_KASAN)$(CONFIG_KCSAN)$(CONFIG_KMSAN)$(CONFIG_KCOV)$(CONFIG_CFI)$(CONFIG_CFI_CLANG)

ifeq ($(r4l-inline)$(CONFIG_X86_64)$(CONFIG_RUST_INLINE_HELPERS)$(r4l-instrumented),yy)
r4l-llvm := $(shell echo $$(($(CONFIG_RUSTC_LLVM_VERSION) / 10000)))
r4l-llvm-tools := clang-$(r4l-llvm) llvm-link-$(r4l-llvm) opt-$(r4l-llvm) llvm-dis-$(r4l-llvm) llvm-as-$(r4l-llvm) \
	llvm-nm-$(r4l-llvm)
ifeq ($(shell for tool in $(r4l-llvm-tools); do command -v $$tool || echo none; done | grep -c "^none$$"),0)
r4l-inlines := y
endif
endif

ifdef r4l-inlines

# Of what the kernel gives clang for a C file: what instruments, and what LLVM takes for a reason not to inline into a
# function that does not have it, is left out. The functions that take them in keep their own protections.
r4l-bc-cflags = $(filter-out -pg -mfentry -fno-delete-null-pointer-checks -fno-builtin% -fstack-protector% -fsanitize% \
	-g,$(subst include/linux/kconfig.h,include/linux/kconfig.h \
	$(if $(CONFIG_CC_IS_GCC),-include $(r4l-kit-dir)/c/clang.h),$(bindgen_c_flags_final))) -DMODULE -DCC_USING_FENTRY -g

quiet_cmd_r4l_helpers_ll = CLANG   $@
      cmd_r4l_helpers_ll = \
	clang-$(r4l-llvm) $(r4l-bc-cflags) -I$(r4l-kit-dir)/c -Wno-missing-prototypes \
		-S -emit-llvm -o $@ $<; \
	if grep -qE ' asm .*addrspace\(' $@; then \
		echo "$@: an address space in inline assembly: clang would lose its segment" >&2; rm -f $@; false; \
	fi

# The kit's helpers, and those that the crate kernel calls; headers alone do not have these.
r4l-helpers := kit_helpers $(if $(wildcard $(srctree)/rust/helpers/helpers.c),kernel_helpers)

$(obj)/r4l/%_helpers.ll: private part-of-module := y
$(obj)/r4l/%_helpers.ll: private modname := kit
$(obj)/r4l/kit_helpers.ll: $(r4l-kit-dir)/c/helpers.c FORCE
	$(call if_changed_dep,r4l_helpers_ll)
$(obj)/r4l/kernel_helpers.ll: $(srctree)/rust/helpers/helpers.c FORCE
	$(call if_changed_dep,r4l_helpers_ll)

# LLVM inlines only where the attributes of both functions agree, so the helpers get Rust's. It sorts them by their names.
quiet_cmd_r4l_helpers_bc = BITCODE $@
      cmd_r4l_helpers_bc = \
	rust=$$(llvm-dis-$(r4l-llvm) $(obj)/r4l/kit.bc -o - | sed -nE \
		's/^attributes .*("target-cpu"="[^"]*").*("target-features"="[^"]*").*/\1 \2/p' | head -n 1); \
	sed -E -e '/^attributes /{' \
		-e 's/"(target-cpu|tune-cpu|target-features|no-builtins?[^"]*)"(="[^"]*")?//g' \
		-e 's/ (null_pointer_is_valid|sspstrong|sspreq|ssp|uwtable(\([a-z]*\))?)( |$$)/ /g' \
		-e "s/\}$$/ $(if $(CONFIG_MITIGATION_RETHUNK),fn_ret_thunk_extern) $$rust }/" \
		-e '}' $< | llvm-as-$(r4l-llvm) -o $@

$(obj)/r4l/%_helpers.bc: $(obj)/r4l/%_helpers.ll $(obj)/r4l/kit.o FORCE
	$(call if_changed,r4l_helpers_bc)

RUSTFLAGS_r4l/kit.o += --emit=llvm-bc=$(obj)/r4l/kit.bc
$(foreach o,$(r4l-kit-users),$(eval RUSTFLAGS_$(o) += --emit=llvm-bc=$(obj)/$(o:.o=.bc)))

# What the module has for others: everything but Rust's own names. The rest is used here or nowhere.
quiet_cmd_r4l_linked = INLINE  $@
      cmd_r4l_linked = \
	llvm-link-$(r4l-llvm) --suppress-warnings -o $@.rust.bc $(r4l-own-bitcode) $(obj)/r4l/kit.bc; \
	llvm-link-$(r4l-llvm) --suppress-warnings --only-needed -o $@.bc $@.rust.bc $(r4l-helpers:%=$(obj)/r4l/%.bc); \
	llvm-nm-$(r4l-llvm) --defined-only --extern-only --format=just-symbols $(r4l-own-bitcode) > $@.symbols; \
	sed -e '/^_R/d' -e '/:$$/d' $@.symbols > $@.public; \
	opt-$(r4l-llvm) --passes='internalize,default<O2>' --internalize-public-api-file=$@.public $@.bc -o $@.opt.bc; \
	clang-$(r4l-llvm) $(r4l-codegen) -Wno-override-module -c $@.opt.bc -o $@

# `-mllvm` goes without the word behind it, which begins with another letter.
r4l-codegen = $(filter --target=% -m% -f%,$(filter-out -fsanitize% -pg -mfentry -mllvm -fno-builtin%, \
	$(bindgen_c_flags_final))) \
	-O2 -mllvm -trap-unreachable -mllvm -no-trap-after-noreturn

# $(call r4l-link-rule,MODULE): its Rust objects give way to the one that is linked from them. Kbuild is told of them all the
# same, or it would not keep the commands that made them.
define r4l-link-rule
r4l-users-of-$(1) := $$(filter $$(r4l-kit-users),$$($(1)-y))
$$(addprefix $(obj)/,$$(r4l-users-of-$(1))): private part-of-module := y
$$(addprefix $(obj)/,$$(r4l-users-of-$(1))): private modfile := $(obj)/$(1)
$(obj)/r4l/$(1).linked.o: private r4l-own-bitcode = $$(addprefix $(obj)/,$$(patsubst %.o,%.bc,$$(r4l-users-of-$(1))))
$(obj)/r4l/$(1).linked.o: $$(addprefix $(obj)/,$$(r4l-users-of-$(1))) $(obj)/r4l/kit.o $(r4l-helpers:%=$(obj)/r4l/%.bc) FORCE
	$$(call if_changed,r4l_linked)
targets += r4l/$(1).linked.o
$(1)-y := $$(filter-out $$(r4l-users-of-$(1)),$$($(1)-y)) r4l/$(1).linked.o
endef
targets += r4l/kit.o $(r4l-kit-users) $(foreach h,$(r4l-helpers),r4l/$(h).ll r4l/$(h).bc)

$(foreach m,$(r4l-kit-modules),$(eval $(call r4l-link-rule,$(m))))

endif # r4l-inlines
