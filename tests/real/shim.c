/*
 * Preloaded into a process that uses VMware's own library, so that it runs away from VMware: the check for a
 * virtual machine answers yes, and vsock connections to the hypervisor go to a unix socket instead.
 *
 * GUESTRPC_SHIM_SOCKET  path of the unix socket where a simulated host listens
 * GUESTRPC_SHIM_EACCES  when set, binding a privileged port fails as it does for a user who is not root
 * GUESTRPC_SHIM_LOG     file to which each step is appended, a line each
 *
 * No socket of the family AF_VSOCK is ever made: whatever is asked for in that family becomes a unix socket,
 * and a connection to any other peer than the hypervisor is refused.
 *
 * Built with -DREAL_CHECK the library's own check for a virtual machine stays.
 *
 *     cc -shared -fPIC -o shim.so shim.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { VSOCK = 40, HYPERVISOR = 0, RPCI_PORT = 976, UNPRIVILEGED = 1024 };

/* Layout of the kernel's struct sockaddr_vm, as far as it is needed (linux/vm_sockets.h). */
struct vsock_address {
    sa_family_t family;
    unsigned short reserved;
    unsigned int port;
    unsigned int cid;
};

static void note(const char *step, unsigned int number)
{
    const char *path = getenv("GUESTRPC_SHIM_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;

    if (file) {
        fprintf(file, "%s %u\n", step, number);
        fclose(file);
    }
}

#ifndef REAL_CHECK
int VmCheck_IsVirtualWorld(void)
{
    return 1;
}
#endif

int socket(int family, int type, int protocol)
{
    int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");

    if (family != VSOCK)
        return real(family, type, protocol);
    return real(AF_UNIX, type, 0);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    const struct vsock_address *vsock = (const struct vsock_address *)address;

    if (address->sa_family != VSOCK)
        return real(fd, address, length);
    note("bind", vsock->port);
    if (vsock->port < UNPRIVILEGED && getenv("GUESTRPC_SHIM_EACCES")) {
        errno = EACCES;
        return -1;
    }
    return 0;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    const struct vsock_address *vsock = (const struct vsock_address *)address;
    const char *path = getenv("GUESTRPC_SHIM_SOCKET");
    struct sockaddr_un host = {.sun_family = AF_UNIX};

    if (address->sa_family != VSOCK)
        return real(fd, address, length);
    note("connect", vsock->port);
    if (!path || strlen(path) >= sizeof host.sun_path || vsock->cid != HYPERVISOR || vsock->port != RPCI_PORT) {
        errno = ECONNREFUSED;
        return -1;
    }
    strcpy(host.sun_path, path);
    return real(fd, (struct sockaddr *)&host, sizeof host);
}
