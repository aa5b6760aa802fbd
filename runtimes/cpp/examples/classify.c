/* Answers one text: classify BUNDLE TEXT. Build: cc classify.c $(pkg-config --cflags --libs fnet_runtime) */
#include <fnet/fnet.h>
#include <stdio.h>
#include <string.h>

int main(int count, char** words) {
  if (count != 3) {
    fprintf(stderr, "usage: classify BUNDLE TEXT\n");
    return 2;
  }
  fnet_pipeline* pipeline;
  if (fnet_open(words[1], NULL, &pipeline) != FNET_OK) {
    fprintf(stderr, "%s\n", fnet_last_error());
    return 1;
  }
  const fnet_request request = {.text = words[2], .text_bytes = strlen(words[2])};
  char* json;
  const fnet_code code = fnet_run(pipeline, &request, &json);
  if (code == FNET_OK) {
    printf("%s\n", json);
    fnet_free(json);
  } else {
    fprintf(stderr, "%s\n", fnet_last_error());
  }
  fnet_close(pipeline);
  return code == FNET_OK ? 0 : 1;
}
