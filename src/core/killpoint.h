/*
 * Places where a test kills the process.
 *
 * In the test build (ISTHMUS_KILL_POINTS defined) every system call that changes
 * something outside the process has a point before and a point after it. A test
 * arms the n-th point and the process dies there by SIGKILL. In every other build
 * a point is nothing.
 */
#ifndef ISTHMUS_KILLPOINT_H
#define ISTHMUS_KILLPOINT_H

#ifdef ISTHMUS_KILL_POINTS
void isthmus_kill_point(void); /* defined by the test */
#define ISTHMUS_KILL_POINT() isthmus_kill_point()
#else
#define ISTHMUS_KILL_POINT() ((void)0)
#endif

#endif
