/*
 * VMware's library as it must not be: UpdateInfo does what FORKING_STUB says and never answers.
 *
 *     abort    leaves a process behind that holds every open file, then aborts as glibc does
 *     session  the same, and that process leaves its group and session
 *     memory   takes memory until there is none
 *
 * The process left behind writes its number into the file FORKING_STUB_PID.
 *
 *     cc -shared -fPIC -o forking_stub.so forking_stub.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int VMGuestLib_OpenHandle(void **handle) { *handle = &handle; return 0; }
int VMGuestLib_CloseHandle(void *handle) { (void)handle; return 0; }
int VMGuestLib_GetSessionId(void *handle, uint64_t *id) { (void)handle; *id = 1; return 0; }

static void leave_behind(int own_session)
{
    int ready[2];
    char byte;

    if (pipe(ready) || fork()) {
        close(ready[1]);
        read(ready[0], &byte, 1);
        return;
    }
    if (own_session)
        setsid();
    /* Nobody who waits for it waits for ever. */
    alarm(60);
    FILE *file = fopen(getenv("FORKING_STUB_PID"), "w");
    fprintf(file, "%ld", (long)getpid());
    fclose(file);
    write(ready[1], "", 1);
    for (;;)
        pause();
}

int VMGuestLib_UpdateInfo(void *handle)
{
    const char *what = getenv("FORKING_STUB");

    (void)handle;
    if (!strcmp(what, "memory"))
        for (;;) {
            char *block = malloc(1 << 20);
            if (!block) {
                fprintf(stderr, "no memory\n");
                abort();
            }
            memset(block, 1, 1 << 20);
        }
    leave_behind(!strcmp(what, "session"));
    fprintf(stderr, "free(): invalid size\n");
    abort();
}
