# SPDX-License-Identifier: MIT
# Print three lines about the machine: its name, its CPUs, the source of its description.

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
