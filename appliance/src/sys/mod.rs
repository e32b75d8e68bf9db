//! The machine underneath: clock, random numbers, atomic files, disk space, the service manager.
