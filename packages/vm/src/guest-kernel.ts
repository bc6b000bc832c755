/** The kernel that a virtual machine boots: files of its image package, unpacked. */
export interface GuestKernel {
  /** As `uname -r` prints it. */
  readonly release: string;
  /** Path of `boot/vmlinuz-RELEASE`. */
  readonly vmlinuzPath: string;
  /** `lib/modules/RELEASE`, with modules.order and modules.builtin. */
  readonly modulesDirectory: string;
}
