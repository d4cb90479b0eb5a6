/* Needs a DLL that is not there: linked against an import library that was made for it. */
__declspec(dllimport) int absent(void);

__declspec(dllexport) int VMGuestLib_OpenHandle(void **handle)
{
    *handle = 0;
    return absent();
}
