/* A vmGuestLib.dll whose second function does what FAULT says, or which is slow to load (8). Everything else is the
 * stand-in's. */
#include <windows.h>
#define VMGuestLib_UpdateInfo updated
#include "../real/stub.c"
#undef VMGuestLib_UpdateInfo

static volatile int depth;

static int deeper(int at)
{
    volatile char frame[65536];

    frame[0] = (char)at;
    return at + deeper(at + 1) + frame[0] + depth;
}

BOOL WINAPI DllMain(HINSTANCE dll, DWORD reason, LPVOID reserved)
{
    if (FAULT == 8 && reason == DLL_PROCESS_ATTACH)
        Sleep(2000);
    return TRUE;
}

int VMGuestLib_UpdateInfo(void *handle)
{
    switch (FAULT) {
    case 1: *(volatile int *)0 = 1; break;
    case 2: Sleep(INFINITE); break;
    case 3: return deeper(0);
    case 4: ExitProcess(3);
    case 5: RaiseException(0xC0000374, EXCEPTION_NONCONTINUABLE, 0, 0); break;
    case 6: return -559038737;
    case 7: abort();
    }
    return updated(handle);
}
