# SPDX-License-Identifier: MIT
"""The ways in which public Makefiles name their own files, one folder each."""

from __future__ import annotations

from tests.vm.plain_forms.folders import MINE, OTHER, VERSIONED, C

FORMS: dict[str, dict[str, str]] = {
    "PWD": {"Makefile": "obj-m := x.o\nccflags-y += -I$(PWD)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "src": {"Makefile": "obj-m := x.o\nccflags-y += -I$(src)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "obj": {"Makefile": "obj-m := x.o\nccflags-y += -I$(obj)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "M": {"Makefile": "obj-m := x.o\nccflags-y += -I$(M)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "CURDIR": {"Makefile": "obj-m := x.o\nccflags-y += -I$(CURDIR)/inc\n", "x.c": C, "inc/mine.h": MINE},
    "relative": {"Makefile": "obj-m := x.o\nccflags-y += -Iinc\n", "x.c": C, "inc/mine.h": MINE},
    "shell pwd": {
        "Makefile": "HERE := $(shell pwd)\nobj-m := x.o\nccflags-y += -I$(HERE)/inc\n",
        "x.c": C,
        "inc/mine.h": MINE,
    },
    "its own place": {
        "Makefile": "HERE := $(dir $(realpath $(lastword $(MAKEFILE_LIST))))\n"
        "obj-m := x.o\nccflags-y += -I$(HERE)inc\n",
        "x.c": C,
        "inc/mine.h": MINE,
    },
    "include": {
        "Makefile": "include $(PWD)/flags.mk\n",
        "flags.mk": "obj-m := x.o\nccflags-y += -Iinc\n",
        "x.c": C,
        "inc/mine.h": MINE,
    },
    "wildcard": {
        "Makefile": "obj-m := w.o\nw-y := $(patsubst %.c,%.o,$(wildcard *.c))\n",
        "x.c": C,
        "y.c": OTHER,
        "mine.h": MINE,
    },
    "wildcard in src": {
        "Makefile": "obj-m := w.o\nw-y := $(patsubst $(src)/%.c,%.o,$(wildcard $(src)/c/*.c))\n",
        "c/x.c": C,
        "c/y.c": OTHER,
        "c/mine.h": MINE,
    },
    "cat": {
        "Makefile": 'obj-m := x.o\nccflags-y += -DVER=\\"$(shell cat $(PWD)/VERSION)\\"\n',
        "VERSION": "mine\n",
        "x.c": VERSIONED,
    },
    "script": {
        "Makefile": 'obj-m := x.o\nccflags-y += -DVER=\\"$(shell ./version.sh)\\"\n',
        "version.sh": "#!/bin/sh\necho mine\n",
        "x.c": VERSIONED,
    },
    "folders of the parts": {
        "Kbuild": "obj-m := x.o\nx-y := src/main.o c/other.o\n",
        "src/main.c": C.replace('"mine.h"', '"../inc/mine.h"'),
        "c/other.c": OTHER,
        "inc/mine.h": MINE,
    },
    "a folder below": {
        "Makefile": "obj-y += sub/\nsubdir-ccflags-y := -I$(src)/inc\n",
        "sub/Makefile": "obj-m := x.o\n",
        "sub/x.c": C,
        "inc/mine.h": MINE,
    },
    "generated header": {
        "Makefile": "obj-m := x.o\n$(obj)/x.o: $(obj)/mine.h\n$(obj)/mine.h: $(src)/mine.txt\n"
        "\tsed 's/^/#define MINE /' $< >$@\nclean-files := mine.h\n",
        "mine.txt": '"mine"\n',
        "x.c": C,
    },
    "host program": {
        "Makefile": "obj-m := x.o\nhostprogs := gen\nalways-y := gen\n$(obj)/x.o: $(obj)/mine.h\n"
        "quiet_cmd_gen = GEN     $@\ncmd_gen = $(obj)/gen >$@\ntargets += mine.h\n"
        "$(obj)/mine.h: $(obj)/gen FORCE\n\t$(call if_changed,gen)\n",
        "gen.c": '#include <stdio.h>\nint main(void) { puts("#define MINE \\"mine\\""); return 0; }\n',
        "x.c": C,
    },
    "Makefile and Kbuild": {
        "Makefile": "KDIR := /lib/modules/$(shell uname -r)/build\nobj-m := missing.o\n"
        "all:\n\t$(MAKE) -C $(KDIR) M=$(PWD) modules\nclean:\n\t$(MAKE) -C $(KDIR) M=$(PWD) clean\n",
        "Kbuild": "obj-m := x.o\n",
        "x.c": C,
        "mine.h": MINE,
    },
    "both in one": {
        "Makefile": "ifneq ($(KERNELRELEASE),)\nobj-m := x.o\nx-objs := main.o\nelse\n"
        "KDIR := /lib/modules/$(shell uname -r)/build\nPWD := $(shell pwd)\n"
        "all:\n\t$(MAKE) -C $(KDIR) M=$(PWD) modules\nendif\n",
        "main.c": C,
        "mine.h": MINE,
    },
    "beside": {
        "Makefile": "obj-m := x.o\nccflags-y += -I$(src)/../common\n",
        "x.c": C,
        "../common/mine.h": MINE,
    },
    "a link to beside": {"Makefile": "obj-m := x.o\n", "x.c": "-> ../common/x.c", "mine.h": MINE, "../common/x.c": C},
    "objects beside": {
        "Makefile": "obj-m := x.o\nx-y := main.o ../common/other.o ../top.o\nccflags-y += -I$(src)/../common/include\n",
        "main.c": C,
        "../common/other.c": OTHER,
        "../common/include/mine.h": MINE,
        "../top.c": OTHER.replace("other", "top"),
        "../unused/x.c": OTHER,
    },
    "a linked folder": {
        "Makefile": "obj-m := x.o\nx-y := main.o shared/other.o\n",
        "shared": "-> ../common",
        "main.c": C,
        "mine.h": MINE,
        "../common/other.c": OTHER,
    },
    "of the kernel": {
        "Makefile": "obj-m := x.o\nccflags-y += -I$(srctree)/include/linux -DMINE='\"mine\"'\n",
        "x.c": C.replace("mine.h", "stringify.h"),
    },
    "foreach": {
        "Makefile": "$(foreach name,x,$(eval obj-m += $(name).o)$(eval $(name)-y := $(name)-main.o))\n",
        "x-main.c": C,
        "mine.h": MINE,
    },
    "a define": {
        "Makefile": "define add\nobj-m += $(1).o\n$(1)-y := $(1)-main.o\nendef\n$(eval $(call add,x))\n",
        "x-main.c": C,
        "mine.h": MINE,
    },
    "exported variables": {
        "Makefile": "export HERE := $(shell pwd)/inc\nexport CONFIG_X := m\nobj-$(CONFIG_X) += sub/\n",
        "sub/Makefile": "obj-$(CONFIG_X) := x.o\nccflags-y += -I$(HERE)\n",
        "sub/x.c": C,
        "inc/mine.h": MINE,
    },
    "lines of Windows": {
        "Makefile": "obj-m := x.o\r\nx-y := main.o\r\nccflags-y += -Iinc\r\n",
        "main.c": C.replace("\n", "\r\n"),
        "inc/mine.h": MINE,
    },
    "symbols of another": {
        "Makefile": "obj-m := x.o\nKBUILD_EXTRA_SYMBOLS := $(src)/other/Module.symvers\n",
        "x.c": C + "int of_other(void);\nint call(void);\nint call(void) { return of_other(); }\n",
        "mine.h": MINE,
        "other/Module.symvers": "0x00000000\tof_other\tother\tEXPORT_SYMBOL\t\n",
    },
    "two levels up": {
        "Makefile": "TOP := $(src)/../..\nobj-m := x.o\nx-y := main.o ../../lib/other.o\ninclude $(TOP)/flags.mk\n",
        "main.c": C,
        "../../flags.mk": "ccflags-y += -I$(TOP)/inc\n",
        "../../inc/mine.h": MINE,
        "../../lib/other.c": OTHER,
        "../../.git/HEAD": "ref: refs/heads/main\n",
    },
    "rules around the folder": {
        "Makefile": "TOP := $(abspath $(src)/..)\ninclude $(TOP)/rules.mk\n",
        "main.c": C,
        "../rules.mk": "obj-m := x.o\nx-y := main.o ../common/other.o\nccflags-y += -I$(TOP)/inc\n",
        "../common/other.c": OTHER,
        "../inc/mine.h": MINE,
    },
    "a header two levels up": {
        "Makefile": "obj-m := x.o\n",
        "x.c": C.replace("mine.h", "../../inc/mine.h"),
        "../../inc/mine.h": MINE,
        "../../.git/HEAD": "ref: refs/heads/main\n",
    },
    "odd letters": {"Makefile": "obj-m := x-1.o\nccflags-y += -I$(PWD)/头\n", "x-1.c": C, "头/mine.h": MINE},
}
"""Files of a folder by name: each form is a module whose description is `mine`, which it gets in that way."""
