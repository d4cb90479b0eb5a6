/*
 * The calling convention of VMware's HA library and nothing behind it. Written from the names and types of its
 * public header.
 *
 * The folder in APPMONITOR_STUB holds the answers, a file for each function: a number, "crash", "hang", or the text
 * of GetAppStatus ("null" for none). Without a file the answer is good. Each call appends a line to the file "log"
 * there: process, thread, blocks given away and not got back, function, argument.
 *
 * As in the real one, a call after one that answered 3 (no channel could be opened) kills the process.
 *
 *     cc -shared -fPIC -o appmonitor_stub.so appmonitor_stub.c
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NO_CHANNEL = 3, BLOCKS = 16, LENGTH = 1024 };

static char *given[BLOCKS];
static int lost_channel;

static void record(const char *function, const char *argument)
{
    char path[LENGTH];
    int blocks = 0;
    FILE *log;

    for (int i = 0; i < BLOCKS; i++)
        blocks += given[i] != NULL;
    snprintf(path, sizeof path, "%s/log", getenv("APPMONITOR_STUB"));
    log = fopen(path, "a");
    fprintf(log, "%ld %lx %d %s %s\n", (long)getpid(), (unsigned long)pthread_self(), blocks, function, argument);
    fclose(log);
}

static const char *call(const char *function, const char *argument, const char *usual)
{
    static char answer[LENGTH];
    char path[LENGTH];
    FILE *file;

    record(function, argument);
    if (lost_channel)
        raise(SIGSEGV);
    snprintf(path, sizeof path, "%s/%s", getenv("APPMONITOR_STUB"), function);
    strcpy(answer, usual);
    file = fopen(path, "r");
    if (file) {
        answer[fread(answer, 1, sizeof answer - 1, file)] = '\0';
        fclose(file);
    }
    if (!strcmp(answer, "crash"))
        raise(SIGSEGV);
    while (!strcmp(answer, "hang"))
        pause();
    return answer;
}

static int status(const char *function, const char *argument)
{
    int code = atoi(call(function, argument, "0"));

    lost_channel = code == NO_CHANNEL;
    return code;
}

int VMGuestAppMonitor_Enable(void) { return status("Enable", ""); }
int VMGuestAppMonitor_Disable(void) { return status("Disable", ""); }
int VMGuestAppMonitor_IsEnabled(void) { return status("IsEnabled", ""); }
int VMGuestAppMonitor_MarkActive(void) { return status("MarkActive", ""); }

#ifndef OLDER
int VMGuestAppMonitor_PostAppState(const char *state) { return status("PostAppState", state); }
#endif

#ifndef SOMETHING_ELSE
char *VMGuestAppMonitor_GetAppStatus(void)
{
    const char *text = call("GetAppStatus", "", "Green");

    if (!strcmp(text, "null"))
        return NULL;
    for (int i = 0; i < BLOCKS; i++)
        if (!given[i])
            return given[i] = strdup(text);
    abort();
}
#endif

void VMGuestAppMonitor_Free(char *text)
{
    for (int i = 0; i < BLOCKS; i++)
        if (text && given[i] == text) {
            free(text);
            given[i] = NULL;
            record("Free", "");
            return;
        }
    record("Free", "of what was not given");
}
