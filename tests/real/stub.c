/*
 * The calling convention of VMware's library and nothing behind it: what it answers is set from outside, and what
 * it has given away and not got back is counted. Written from the names and types of the public interface.
 *
 * Built with -DOLDER it lacks what came with later releases.
 *
 *     cc -shared -fPIC -o stub.so stub.c
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_AVAILABLE = 4, BUFFER_TOO_SMALL = 7, INVALID_HANDLE = 8, NAMES = 64, GUARD = 0x5a5a5a5a };

static struct { char name[64]; int status; } answers[NAMES];
static char pool_path[1024] = "/pool";
static long handles, blocks, crossings;

/* --- for tests --- */

void stub_reset(void)
{
    memset(answers, 0, sizeof answers);
    handles = blocks = crossings = 0;
    strcpy(pool_path, "/pool");
}

void stub_answer(const char *name, int status)
{
    for (int i = 0; i < NAMES; i++)
        if (!answers[i].name[0] || !strcmp(answers[i].name, name)) {
            strncpy(answers[i].name, name, sizeof answers[i].name - 1);
            answers[i].status = status;
            return;
        }
}

void stub_path(const char *path)
{
    strncpy(pool_path, path, sizeof pool_path - 1);
}

long stub_handles(void) { return handles; }
long stub_blocks(void) { return blocks; }
/* Uses of the wrong handle, or of StatGet without an open one. */
long stub_crossings(void) { return crossings; }

/* --- the interface --- */

static int answer(const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (!strcmp(answers[i].name, name))
            return answers[i].status;
    return SUCCESS;
}

static int use(const char *name, void *handle)
{
    if (!handle || *(int *)handle != GUARD) {
        crossings++;
        return INVALID_HANDLE;
    }
    return answer(name);
}

const char *VMGuestLib_GetErrorText(int code)
{
    return code ? "Stub's words" : "No error";
}

int VMGuestLib_OpenHandle(void **handle)
{
    int status = answer("OpenHandle");

    if (status == SUCCESS) {
        *handle = malloc(sizeof(int));
        *(int *)*handle = GUARD;
        handles++;
    }
    return status;
}

int VMGuestLib_CloseHandle(void *handle)
{
    int status = use("CloseHandle", handle);

    if (handle) {
        *(int *)handle = 0;
        free(handle);
        handles--;
    }
    return status;
}

int VMGuestLib_UpdateInfo(void *handle)
{
    return use("UpdateInfo", handle);
}

int VMGuestLib_GetSessionId(void *handle, uint64_t *id)
{
    *id = UINT64_C(0xfedcba9876543210);
    return use("GetSessionId", handle);
}

int VMGuestLib_GetResourcePoolPath(void *handle, size_t *size, char *path)
{
    size_t needed = strlen(pool_path) + 1;
    int status = use("GetResourcePoolPath", handle);

    if (status != SUCCESS)
        return status;
    if (*size < needed) {
        *size = needed;
        return BUFFER_TOO_SMALL;
    }
    memcpy(path, pool_path, needed);
    return SUCCESS;
}

#define GETTER(name, type, value)                               \
    int VMGuestLib_##name(void *handle, type *out)              \
    {                                                           \
        int status = use(#name, handle);                        \
                                                                \
        if (status == SUCCESS)                                  \
            *out = (type)(value);                               \
        return status;                                          \
    }
#define U32(name, id) GETTER(name, uint32_t, 0xffffff00u + id)
#define U64(name, id) GETTER(name, uint64_t, UINT64_C(0xffffffffffffff00) + id)

U32(GetCpuReservationMHz, 1)
U32(GetCpuLimitMHz, 2)
U32(GetCpuShares, 3)
U64(GetCpuUsedMs, 4)
U32(GetHostProcessorSpeed, 5)
U32(GetMemReservationMB, 6)
U32(GetMemLimitMB, 7)
U32(GetMemShares, 8)
U32(GetMemMappedMB, 9)
U32(GetMemActiveMB, 10)
U32(GetMemOverheadMB, 11)
U32(GetMemBalloonedMB, 12)
U32(GetMemSwappedMB, 13)
U32(GetMemSharedMB, 14)
U32(GetMemSharedSavedMB, 15)
U32(GetMemUsedMB, 16)
U64(GetElapsedMs, 17)
U64(GetCpuStolenMs, 19)
U64(GetMemTargetSizeMB, 20)
U32(GetHostNumCpuCores, 21)
U64(GetHostCpuUsedMs, 22)
U64(GetHostMemSwappedMB, 23)
U64(GetHostMemSharedMB, 24)
U64(GetHostMemUsedMB, 25)
U64(GetHostMemPhysMB, 26)
U64(GetHostMemPhysFreeMB, 27)
U64(GetHostMemKernOvhdMB, 28)
U64(GetHostMemMappedMB, 29)
U64(GetHostMemUnmappedMB, 30)

#ifndef OLDER
U32(GetMemZippedMB, 31)
U32(GetMemZipSavedMB, 32)
U32(GetMemLLSwappedMB, 33)
U32(GetMemSwapTargetMB, 34)
U32(GetMemBalloonTargetMB, 35)
U32(GetMemBalloonMaxMB, 36)
U64(GetMemShares64, 38)

int VMGuestLib_StatGet(const char *encoding, const char *stat, char **reply, size_t *size)
{
    size_t length = strlen(encoding) + 1 + strlen(stat);

    if (handles == 0)
        crossings++;
    *reply = malloc(length + 1);
    strcpy(*reply, encoding);
    strcat(*reply, " ");
    strcat(*reply, stat);
    *size = length;
    blocks++;
    return answer("StatGet");
}

void VMGuestLib_StatFree(char *reply, size_t size)
{
    if (strlen(reply) != size)
        crossings++;
    free(reply);
    blocks--;
}
#endif
