# SPDX-License-Identifier: MIT
# Print three lines about the machine: its name, its CPUs, the source of its description.

# YOURS (machine): all three lines are right on a PC only.
echo "name $(cat /sys/class/dmi/id/product_name)"
echo "cpus $(grep -c '^model name' /proc/cpuinfo)"
echo "described by acpi"
