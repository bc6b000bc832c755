# SPDX-License-Identifier: Apache-2.0
# Read by init.sh: the kernel has come as far as process 1, which is all that was asked.
finish
