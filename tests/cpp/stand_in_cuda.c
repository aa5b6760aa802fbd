/* A stand-in for the library of NVIDIA's driver: GPUS of them (1 unless said), each an L4, for CUDA 13.0. It runs nothing. */
#include <string.h>

#ifndef GPUS
#define GPUS 1
#endif

int cuInit(unsigned flags) { return (int)flags; }
int cuDriverGetVersion(int* version) { return *version = 13000, 0; }
int cuDeviceGetCount(int* count) { return *count = GPUS, GPUS < 0 ? 100 : 0; }
int cuDeviceGet(int* device, int number) { return *device = number, 0; }
int cuDeviceGetName(char* name, int size, int device) {
  (void)device;
  strncpy(name, "NVIDIA L4", (unsigned)size);
  return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  (void)device;
  *value = attribute == 75 ? 8 : attribute == 76 ? 9 : -1;
  return 0;
}
