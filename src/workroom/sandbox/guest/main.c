#include <stdio.h>
#include <string.h>

#include "guest.h"

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "agent") == 0) return agent_main(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "launch") == 0) return launch_main(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "idmap") == 0) return idmap_main(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "confine") == 0) return confine_main(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "seal") == 0) return seal_main(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "job") == 0) return job_main(argc - 2, argv + 2);
  if (argc > 1 && strcmp(argv[1], "seccomp") == 0) return seccomp_print();
  fputs("usage: guest agent|launch|idmap|confine|seal|job|seccomp ...\n", stderr);
  return 2;
}
