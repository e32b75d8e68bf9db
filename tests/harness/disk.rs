//! Small disks that stall, fill up or turn read-only. Needs root; unmounts itself on drop, also on a panic.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A mounted file system of its own.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// An ext4 file system in a loop file: it can be frozen.
    pub fn ext4(mebibytes: u32) -> SmallDisk {
        let disk = SmallDisk::unmounted();
        let image = disk.folder.path().join("image");
        run("truncate", &["-s", &format!("{mebibytes}M"), text(&image)]);
        run("mkfs.ext4", &["-q", "-F", text(&image)]);
        run("mount", &["-o", "loop", text(&image), text(&disk.path())]);
        disk
    }

    /// Memory with a lid: it can be filled up.
    pub fn tmpfs(mebibytes: u32) -> SmallDisk {
        let disk = SmallDisk::unmounted();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "none", text(&disk.path())]);
        disk
    }

    fn unmounted() -> SmallDisk {
        assert!(rustix::process::geteuid().is_root(), "mounting a small disk needs root");
        let folder = tempfile::tempdir().expect("a temp folder");
        std::fs::create_dir(folder.path().join("disk")).expect("a mount point");
        SmallDisk { folder }
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Takes all room but so many bytes. Returns the file to delete to have it back.
    pub fn fill(&self, but_bytes: u64) -> PathBuf {
        let stat = rustix::fs::statvfs(self.path()).expect("statvfs");
        let taken = (stat.f_bavail * stat.f_frsize).saturating_sub(but_bytes);
        let path = self.path().join("filler");
        let file = std::fs::File::create(&path).expect("a filler");
        if taken > 0 {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, taken).expect("room for the filler");
        }
        path
    }

    /// Lets every write hang while `meanwhile` runs.
    pub fn frozen<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        run("fsfreeze", &["-f", text(&self.path())]);
        let _thaw = Thaw(self.path());
        meanwhile()
    }

    pub fn make_read_only(&self) {
        run("mount", &["-o", "remount,ro", text(&self.path())]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = self.path();
        let is_gone =
            |flags: &[&str]| Command::new("umount").args(flags).arg(&path).status().is_ok_and(|s| s.success());
        if !is_gone(&["-q"]) && !is_gone(&["-q", "-l"]) {
            eprintln!("{} stays mounted", path.display());
        }
    }
}

struct Thaw(PathBuf);

impl Drop for Thaw {
    fn drop(&mut self) {
        Command::new("fsfreeze").arg("-u").arg(&self.0).status().ok();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temp folders are plain text")
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {args:?} (needs root)");
}
