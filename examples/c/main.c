/* Seals a model, opens it again and runs it on pictures of digits.
 *
 *   cc -std=c99 main.c -o digits $(pkg-config --cflags --libs ptsecure)
 *   ./digits ../digits/digits.pt ../digits/sample.npy
 */
#include <ptsecure/ptsecure.h>
#include <stdio.h>
#include <stdlib.h>

static void must(pts_status status, const pts_error* error) {
  if (status == PTS_OK) return;
  fprintf(stderr, "%s: %s\n", pts_status_name(status), error->message);
  exit(1);
}

/* The keys of this example, made on its first run. */
static pts_keyring* load_or_make_keys(const char* path) {
  pts_error error;
  pts_keyring* keys = NULL;
  pts_status status = pts_keyring_load(path, NULL, &keys, &error);
  if (status == PTS_NOT_FOUND) {
    must(pts_keyring_generate(&keys, &error), &error);
    must(pts_keyring_save(keys, path, NULL, &error), &error);
    printf("made %s: whoever has it can open and publish models\n", path);
  } else {
    must(status, &error);
  }
  return keys;
}

static pts_value* load_npy(const char* path) {
  pts_error error;
  pts_value* value = NULL;
  char data[64 * 1024];
  FILE* file = fopen(path, "rb");
  size_t size;
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  size = fread(data, 1, sizeof(data), file);
  fclose(file);
  must(pts_value_from_npy(data, size, &value, &error), &error);
  return value;
}

static void print_digits(const pts_value* probabilities) {
  pts_error error;
  pts_tensor rows = PTS_TENSOR_INIT;
  const float* data;
  int64_t i, j;
  must(pts_value_get_tensor(probabilities, &rows, &error), &error);
  if (rows.dtype != PTS_DTYPE_FLOAT32 || rows.rank != 2) {
    fprintf(stderr, "this example expects one row of probabilities per picture\n");
    exit(1);
  }
  data = rows.data;
  for (i = 0; i < rows.shape[0]; ++i) {
    const float* row = data + i * rows.strides[0];
    int64_t best = 0;
    for (j = 1; j < rows.shape[1]; ++j) {
      if (row[j * rows.strides[1]] > row[best * rows.strides[1]]) best = j;
    }
    printf("picture %d: %d (%.1f %%)\n", (int)i, (int)best, 100.0 * row[best * rows.strides[1]]);
  }
}

int main(int argc, char** argv) {
  pts_error error;
  pts_keyring* keys;
  pts_store* store = NULL;
  pts_source* source = NULL;
  pts_model* model = NULL;
  pts_value *images, *answer = NULL;
  const pts_value* inputs[1];
  pts_publish_options options = PTS_PUBLISH_OPTIONS_INIT;
  uint64_t version = 0;

  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL.pt IMAGES.npy\n", argv[0]);
    return 2;
  }
  keys = load_or_make_keys("keys.jwks");
  images = load_npy(argv[2]);
  inputs[0] = images;
  must(pts_store_open("models", NULL, &store, &error), &error);

  /* With a sample the manifest knows datatypes and shapes, and wrong inputs are refused. */
  options.alias = "production";
  options.sample = inputs;
  options.sample_count = 1;
  must(pts_source_create(&source, &error), &error);
  must(pts_source_add_file(source, NULL, argv[1], &error), &error);
  must(pts_store_publish(store, "digits", source, keys, &options, NULL, &version, &error), &error);
  printf("published digits/%llu in ./models\n", (unsigned long long)version);

  must(pts_model_open(store, "digits@production", keys, NULL, NULL, &model, &error), &error);
  must(pts_model_infer(model, inputs, 1, NULL, NULL, &answer, &error), &error);
  print_digits(answer);

  pts_value_destroy(&answer);
  pts_model_destroy(&model);
  pts_value_destroy(&images);
  pts_source_destroy(&source);
  pts_store_destroy(&store);
  pts_keyring_destroy(&keys);
  return 0;
}
