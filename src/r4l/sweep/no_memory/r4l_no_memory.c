// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has the n-th allocation on behalf of a module fail, on any kernel with kprobes.
 *
 * The kernel's failslab (Documentation/fault-injection/fault-injection.rst) needs a kernel that was built for it, and
 * counts the allocations of a whole task, exec and the loading of the module included. Here an allocation counts if the
 * module's code is on the stack.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/stacktrace.h>

#define DEPTH 48

static char *target = "";
module_param(target, charp, 0444);
MODULE_PARM_DESC(target, "The module's name");

static atomic_t count = ATOMIC_INIT(0);
static bool came;
module_param(came, bool, 0444);
MODULE_PARM_DESC(came, "Whether an allocation has failed since nth was written");

static int nth = -1;

static int nth_set(const char *text, const struct kernel_param *param)
{
	int error;

	WRITE_ONCE(nth, -1);
	atomic_set(&count, 0);
	came = false;
	error = param_set_int(text, param);
	return error;
}

static int count_get(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%d\n", atomic_read(&count));
}

static const struct kernel_param_ops nth_ops = { .set = nth_set, .get = param_get_int };
module_param_cb(nth, &nth_ops, &nth, 0644);
MODULE_PARM_DESC(nth, "The allocation that fails, from 1; 0: none, but count; -1: nothing");
static const struct kernel_param_ops count_ops = { .get = count_get };
module_param_cb(count, &count_ops, NULL, 0444);
MODULE_PARM_DESC(count, "Allocations since nth was written");

/* The module's code, from before its init runs. */
static unsigned long begin[2], end[2];

static bool is_target(unsigned long address)
{
	return (address >= begin[0] && address < end[0]) || (address >= begin[1] && address < end[1]);
}

static int on_module(struct notifier_block *block, unsigned long event, void *data)
{
	static const enum mod_mem_type texts[] = { MOD_TEXT, MOD_INIT_TEXT };
	struct module *module = data;
	int index;

	if (strcmp(module->name, target))
		return NOTIFY_DONE;
	for (index = 0; index < ARRAY_SIZE(texts); index++) {
		const struct module_memory *memory = &module->mem[texts[index]];
		bool there = event == MODULE_STATE_COMING || (event == MODULE_STATE_LIVE && texts[index] == MOD_TEXT);

		/* A module that is going still runs its exit: its text stays until the next one comes. */
		if (event == MODULE_STATE_GOING && texts[index] == MOD_TEXT)
			continue;
		begin[index] = there ? (unsigned long)memory->base : 0;
		end[index] = there ? begin[index] + memory->size : 0;
	}
	return NOTIFY_OK;
}

static struct notifier_block notifier = { .notifier_call = on_module };

#ifdef CONFIG_X86_64
/* As in arch/x86/lib/error-inject.c: a probe cannot change the stack pointer, so the function's own return is done here. */
void r4l_just_return(void);
asm(".text\n"
    ".type r4l_just_return, @function\n"
    ".globl r4l_just_return\n"
    ASM_FUNC_ALIGN
    "r4l_just_return:\n"
    ANNOTATE_NOENDBR "\n"
    ASM_RET
    ".size r4l_just_return, .-r4l_just_return\n");
#endif

#define TOKEN IS_ENABLED(CONFIG_KMALLOC_PARTITION_CACHES)
#define BUCKET IS_ENABLED(CONFIG_SLAB_BUCKETS)

/* Of include/linux/slab.h and include/linux/dma-mapping.h, each with the place of the flags among its arguments. */
static struct allocator {
	unsigned int flags;
	struct kprobe probe;
} allocators[] = {
	{ 1, { .symbol_name = "kmem_cache_alloc_noprof" } },
	{ 2, { .symbol_name = "kmem_cache_alloc_lru_noprof" } },
	{ 1, { .symbol_name = "kmem_cache_alloc_node_noprof" } },
	{ 1 + TOKEN, { .symbol_name = "__kmalloc_noprof" } },
	{ 1 + BUCKET + TOKEN, { .symbol_name = "__kmalloc_node_noprof" } },
	{ 1 + BUCKET + TOKEN, { .symbol_name = "__kmalloc_node_track_caller_noprof" } },
	{ 1, { .symbol_name = "__kmalloc_cache_noprof" } },
	{ 1, { .symbol_name = "__kmalloc_cache_node_noprof" } },
	{ 1, { .symbol_name = "__kmalloc_large_noprof" } },
	{ 1, { .symbol_name = "__kmalloc_large_node_noprof" } },
	{ 2 + BUCKET + TOKEN, { .symbol_name = "__kvmalloc_node_noprof" } },
	{ 3 + TOKEN, { .symbol_name = "krealloc_node_align_noprof" } },
	{ 3 + TOKEN, { .symbol_name = "kvrealloc_node_align_noprof" } },
	{ 3, { .symbol_name = "dma_alloc_attrs" } },
};

static bool must_succeed(const struct kprobe *probe, struct pt_regs *regs)
{
	const struct allocator *one = container_of(probe, struct allocator, probe);

	return regs_get_kernel_argument(regs, one->flags) & (__force unsigned long)__GFP_NOFAIL;
}

static int on_allocation(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long entries[DEPTH];
	unsigned int depth, index;
	int wanted = READ_ONCE(nth);

	if (wanted < 0 || !begin[0] || must_succeed(probe, regs))
		return 0;
	/* At its first instruction a function has no frame yet, and unwinders leave out its caller. */
#ifdef CONFIG_X86_64
	entries[0] = *(unsigned long *)kernel_stack_pointer(regs);
#else
	entries[0] = procedure_link_pointer(regs);
#endif
	depth = 1 + stack_trace_save(entries + 1, DEPTH - 1, 0);
	for (index = 0; index < depth && !is_target(entries[index]); index++)
		;
	if (index == depth || atomic_inc_return(&count) != wanted)
		return 0;
	came = true;
	/* A record of one line, no complaint: the driver is to be judged by what it makes of it. */
	pr_info("%s fails for %pS\n", probe->symbol_name, (void *)entries[index]);
	regs_set_return_value(regs, 0);
#ifdef CONFIG_X86_64
	instruction_pointer_set(regs, (unsigned long)r4l_just_return);
#else
	instruction_pointer_set(regs, procedure_link_pointer(regs));
#endif
	return 1;
}

static int __init no_memory_init(void)
{
	int index, there = 0, error = register_module_notifier(&notifier);

	if (error)
		return error;
	for (index = 0; index < ARRAY_SIZE(allocators); index++) {
		allocators[index].probe.pre_handler = on_allocation;
		there += !register_kprobe(&allocators[index].probe);
	}
	if (there < ARRAY_SIZE(allocators) / 2)
		pr_err("this kernel allocates by other functions\n");
	return error;
}
module_init(no_memory_init);

/* No exit: it stays until the machine ends. */
MODULE_DESCRIPTION("Memory that cannot be had");
MODULE_LICENSE("GPL");
