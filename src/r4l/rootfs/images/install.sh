# SPDX-License-Identifier: MIT
# Run by sh -e under fakeroot in a new system whose essential packages are unpacked and not installed. The lists of
# packages stand before: FIRST, EARLY, REST (of the essential ones), OTHERS.
dpkg='dpkg --force-depends --force-unsafe-io --force-confold --no-triggers'
umask 022
cd /run/r4l/debs

echo 'r4l: installing the base'
# dpkg leaves folders as they are, and those of FIRST (/tmp, /var/mail) were unpacked without their owners and all modes.
# The sandbox has its own /dev, /proc and /run.
dpkg-deb --fsys-tarfile "$FIRST" |
    tar --extract --preserve-permissions --exclude ./dev --exclude ./proc --exclude ./run --exclude ./sys --directory /
for deb in $EARLY; do
    $dpkg --install "$deb"
done
$dpkg --unpack $REST
dpkg --force-unsafe-io --force-confold --configure --pending

echo 'r4l: installing the packages'
$dpkg --unpack $OTHERS
dpkg --force-unsafe-io --force-confold --configure --pending
dpkg --audit

echo 'r4l: configuring'
rm /usr/sbin/policy-rc.d
# Each guest of each image has the key that known_hosts names.
rm -f /etc/ssh/ssh_host_*
tar --extract --file /run/r4l/layer.tar --directory /
# The commands stand here.

rm -rf /var/cache/apt/*.bin /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -f /var/log/dpkg.log /var/log/alternatives.log /var/log/bootstrap.log

echo 'r4l: packing'
rm -rf /run/r4l/debs
tar --create --numeric-owner --one-file-system --exclude './proc/*' --exclude './sys/*' --exclude './dev/*' \
    --exclude './run/*' --exclude './tmp/*' --file /run/r4l/root.tar --directory / .
