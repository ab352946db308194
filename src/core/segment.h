/* Raw segments: the pieces that typed objects and the Python binding share. */
#ifndef ISTHMUS_SEGMENT_H
#define ISTHMUS_SEGMENT_H

#include "draft.h"
#include "os.h"

/* Room for the path of a POSIX shared memory object. */
#define ISTHMUS_SEGMENT_PATH_SIZE (sizeof ISTHMUS_OS_SHM_DIRECTORY + 1 + ISTHMUS_NAME_MAX + 1)

/* Check `name` and write the path of the object. */
int isthmus_segment_path(const char *name, char path[ISTHMUS_SEGMENT_PATH_SIZE]);

/* A draft beside the objects, with all its bytes reserved; goes on after signals. */
int isthmus_segment_draft(struct isthmus_draft *draft, uint64_t size,
                          const struct isthmus_create_options *options);

/* Open what `path` names, check what and whose it is; the descriptor or -errno. */
int isthmus_segment_open(const char *path, const struct isthmus_attach_options *options,
                         struct isthmus_os_status *status);

/* Remove `path` if it is still the object with this identity. */
int isthmus_segment_remove(uint64_t device, uint64_t inode, const char *path);

#endif
