// The only process of the emulated machine besides the programs that it was started for.
//
// Runs the lines of /commands one after the other, each "[NAME=VALUE ...] PROGRAM [ARGUMENT ...]"
// split at spaces, prints their output and exit statuses on the serial port, and ends the machine.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { MAX_WORDS = 64 };

static void run(char *line) {
  char *words[MAX_WORDS + 1];
  int count = 0;
  for (char *word = strtok(line, " \n"); word && count < MAX_WORDS; word = strtok(NULL, " \n")) {
    if (count == 0 && strchr(word, '=')) putenv(word);
    else words[count++] = word;
  }
  words[count] = NULL;
  execv(words[0], words);
  perror(words[0]);
  _exit(127);
}

static void outputs_to(const char *device) {
  const int fd = open(device, O_RDWR);
  if (fd < 0) return;
  struct termios settings;
  if (tcgetattr(fd, &settings) == 0) {
    cfmakeraw(&settings);
    tcsetattr(fd, TCSANOW, &settings);
  }
  for (int i = 0; i < 3; i++) dup2(fd, i);
}

int main(void) {
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  mkdir("/dev/shm", 01777);
  mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sysfs", "/sys", "sysfs", 0, NULL);
  outputs_to("/dev/ttyS0");
  setvbuf(stdout, NULL, _IOLBF, 4096);
  chdir("/work");
  puts("@begin");
  FILE *commands = fopen("/commands", "r");
  char line[4096];
  while (commands && fgets(line, sizeof line, commands)) {
    if (line[0] == '\n') continue;
    const pid_t child = fork();
    if (child == 0) run(line);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
      printf("@status %d ended by signal %d (%s)\n", 128 + WTERMSIG(status), WTERMSIG(status),
             strsignal(WTERMSIG(status)));
    else printf("@status %d\n", WEXITSTATUS(status));
  }
  puts("@end");
  fflush(stdout);
  tcdrain(1);
  // The emulator's own way to be ended from the inside.
  if (ioperm(0x8900, 1, 1) == 0)
    for (const char *c = "Shutdown"; *c; c++) outb(*c, 0x8900);
  for (;;) pause();
}
