# SPDX-License-Identifier: MIT
# What machine is this? Three lines: its name, its CPUs, who has told the kernel what is in it.

# YOURS (machine): all three are right on a PC only.
echo "name $(cat /sys/class/dmi/id/product_name)"
echo "cpus $(grep -c '^model name' /proc/cpuinfo)"
echo "described by acpi"
