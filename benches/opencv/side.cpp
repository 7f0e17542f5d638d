// OpenCV's half of `make bench-detector`: answers on stdout what it is told on stdin.
//
//   F width height, then the gray pixels    the picture from now on
//   R scale_factor min_neighbors min_size threads
//                                            one scan; answers "cpu_ns wall_ns rectangles"
#include <time.h>
#include <cstdio>
#include <opencv2/core.hpp>
#include <opencv2/objdetect.hpp>
#include <vector>

static long long now(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  cv::CascadeClassifier cascade;
  if (argc != 2 || !cascade.load(argv[1])) {
    fprintf(stderr, "usage: side CASCADE.xml (which OpenCV must be able to load)\n");
    return 2;
  }
  cv::Mat picture;
  char what;
  while (scanf(" %c", &what) == 1) {
    if (what == 'F') {
      int width, height;
      if (scanf("%d %d", &width, &height) != 2 || getchar() != '\n') return 2;
      picture.create(height, width, CV_8UC1);
      if (fread(picture.data, 1, picture.total(), stdin) != picture.total()) return 2;
    } else if (what == 'R') {
      double factor;
      int neighbors, least, threads;
      if (scanf("%lf %d %d %d", &factor, &neighbors, &least, &threads) != 4) return 2;
      cv::setNumThreads(threads);
      std::vector<cv::Rect> found;
      long long cpu = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
      cascade.detectMultiScale(picture, found, factor, neighbors, 0, cv::Size(least, least));
      cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu, wall = now(CLOCK_MONOTONIC) - wall;
      printf("%lld %lld %zu\n", cpu, wall, found.size());
      fflush(stdout);
    } else {
      return 2;
    }
  }
}
