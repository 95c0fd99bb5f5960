"""Runs a program in a chroot under the settings of a systemd unit that can be had without systemd: its user, no capabilities, no
new privileges, its filters of system calls, address families and namespaces. The mounts are the caller's."""
import ctypes, json, os, socket, sys

unit = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
ALLOW, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x00050001, 0x00050000 | 38, 0x00050000 | 97
GE, MASKED_EQ, EQ = 5, 7, 4
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


class Compared(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def must(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))


def rule(context, action, name, *compared):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number < 0:  # not of this architecture
        return
    array = (Compared * len(compared))(*compared)
    must(seccomp.seccomp_rule_add_array(ctypes.c_void_p(context), action, number, len(compared), array))


def load(context):
    must(seccomp.seccomp_load(ctypes.c_void_p(context)))


os.chroot(unit["root"])
os.chdir(unit["folder"])
for capability in range(64):
    libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.setgroups([])
os.setgid(unit["gid"])
os.setuid(unit["uid"])
os.umask(int(unit["umask"], 8))
must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))

families = seccomp.seccomp_init(ALLOW)
allowed = {int(getattr(socket, name)) for name in unit["families"]}
for family in range(max(allowed) + 1):
    if family not in allowed:
        rule(families, EAFNOSUPPORT, "socket", Compared(0, EQ, family, 0))
rule(families, EAFNOSUPPORT, "socket", Compared(0, GE, max(allowed) + 1, 0))
for flag in [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]:  # CLONE_NEW…
    rule(families, EPERM, "clone", Compared(0, MASKED_EQ, flag, flag))
rule(families, ENOSYS, "clone3")  # its flags are in memory, where no filter sees them
rule(families, EPERM, "unshare")
rule(families, EPERM, "setns")
load(families)

calls = seccomp.seccomp_init(EPERM)
for name in unit["calls"]:
    rule(calls, ALLOW, name)
load(calls)
os.execve(unit["command"][0], unit["command"], unit["env"])
