# Sourced by tests/run and appliance/run: what a Debian machine with Rust lacks, and how it gets it.
# Only what is missing is installed; on a machine that has everything this costs one call of dpkg-query.

build_packages="build-essential cmake pkg-config libjack-jackd2-dev"
demo_packages="$build_packages jackd2 asterisk-core-sounds-en-wav"
# Peers and independent readers that the tests compare with, faults on demand (faketime, small file systems, cables that
# are cut, pidstat), and systemd-analyze.
test_packages="$demo_packages jack-tools jack-capture rotter ffmpeg sox libsox-fmt-all flac opus-tools mediainfo
    sndfile-programs alsa-utils faketime e2fsprogs util-linux iproute2 sysstat systemd"

nextest_version=0.9.151
deny_version=0.20.2

LC_ALL=C.UTF-8
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
export LC_ALL PATH

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages NAME...
need_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "This is not a Debian system: going on, and hoping that there are: $*"
        return
    fi
    present=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || :)
    missing=
    for package; do
        printf '%s\n' "$present" | grep -Fqx -- "installed $package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0

    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "These packages are missing and only root can install them (there is no sudo). As root: apt-get install$missing"
    fi
    say "Installing packages:$missing"
    # The package asks whether users may run realtime threads; our services get that right from their units.
    echo "jackd2 jackd/tweak_rt_limits boolean false" | as_root debconf-set-selections
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 $missing >&2
}

# Any Node will do: Debian's packages conflict with one from elsewhere.
need_node() {
    command -v npm >/dev/null || need_packages nodejs npm
}

# What looks at the pages of a real node: a browser, and what drives it. False, with the reason, if there is no way to
# get them: only one step needs them.
try_browser() {
    (need_node && { [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || need_packages chromium; }) || {
        say "A browser could not be installed: the lines above say why."
        return 1
    }
}

need_rust() {
    command -v cargo >/dev/null || die "There is no cargo: install Rust from https://rustup.rs, then call this again."
    for component in "$@"; do
        cargo "${component#rust}" --version >/dev/null 2>&1 || rustup component add "$component" ||
            die "cargo has no $component and rustup could not add it: install it, then call this again."
    done
}

# Scripts and style of the pages, into web-assets/dist, which cargo embeds. Without a package registry the pages go
# without script: every task still works.
build_assets() {
    assets=$root/web-assets
    newest=$(find "$assets/src" "$assets/static" "$assets/package-lock.json" "$assets/build.mjs" -newer "$assets/dist/manifest.json" 2>/dev/null | head -n 1)
    if [ -e "$assets/dist/manifest.json" ] && [ -z "$newest" ]; then return 0; fi
    need_node
    say "Building the pages' scripts"
    (cd "$assets" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent build) >&2 ||
        say "The scripts could not be built (is the npm registry reachable?): the pages go without script."
}

# What looks at pages, beside what builds them: playwright-core and axe-core. False if the registry is not reachable.
need_assets_tools() {
    [ ! -d "$root/web-assets/node_modules/playwright-core" ] || return 0
    (cd "$root/web-assets" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
}

# need_cargo_tool NAME VERSION [OPTIONS OF cargo install]: any version that is there will do, otherwise this one is
# built. Unoptimised: it is built once in half the time and runs for a second.
need_cargo_tool() {
    tool=$1 version=$2
    shift 2
    ! cargo "${tool#cargo-}" --version >/dev/null 2>&1 || return 0
    say "Building $tool $version into ${CARGO_HOME:-$HOME/.cargo}/bin (once, some minutes)"
    # Its build leaves nothing in the target folder of this project.
    (unset CARGO_TARGET_DIR && cargo install --quiet --locked --debug --version "$version" "$@" "$tool") ||
        die "$tool $version could not be built: the lines above say why."
}
