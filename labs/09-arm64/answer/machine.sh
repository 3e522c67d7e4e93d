# SPDX-License-Identifier: MIT
# What machine is this? Three lines: its name, its CPUs, who has told the kernel what is in it.

if [ -d /sys/firmware/acpi/tables ]; then
	by=acpi
	name=$(cat /sys/class/dmi/id/product_name)
else
	by=devicetree
	# A string in the tree ends with a zero byte.
	name=$(tr -d '\0' </proc/device-tree/model)
fi
echo "name $name"
echo "cpus $(nproc)"
echo "described by $by"
