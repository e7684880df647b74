// Command release builds what is released: for each platform the program and a
// bill of its materials, and one file of checksums. The same commit and the same
// Go give the same bytes.
//
//	go run ./deploy/release --out dist
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// platforms are those that are released.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	r := release{}
	var list string
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.StringVar(&r.out, "out", "dist", "folder to write to")
	flags.StringVar(&r.root, "root", ".", "the repository's root")
	flags.StringVar(&list, "platforms", strings.Join(platforms, ","), "for which, separated by commas")
	flags.BoolVar(&r.dirty, "dirty", false, "build also from a work tree with changes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r.platforms = strings.Split(list, ",")
	return r.make(ctx)
}

type release struct {
	root, out string
	platforms []string // os/arch
	dirty     bool

	version string
	at      time.Time // of the commit
}

func (r *release) make(ctx context.Context) error {
	if err := r.describe(ctx); err != nil {
		return err
	}
	out, err := filepath.Abs(r.out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var names []string
	for _, platform := range r.platforms {
		goos, arch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("platform %q is not os/arch, for example linux/amd64", platform)
		}
		name := fmt.Sprintf("nudged-%s-%s-%s", r.version, goos, arch)
		build := exec.CommandContext(ctx, filepath.Join(r.root, "deploy", "build"), filepath.Join(out, name))
		build.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "VERSION="+r.version, "COMMIT=")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build for %s: %w", platform, err)
		}
		bill, err := billOfMaterials(filepath.Join(out, name), r.version, r.at)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, name+".cdx.json"), bill, 0o644); err != nil {
			return err
		}
		names = append(names, name, name+".cdx.json")
	}
	return checksums(out, names)
}

// describe asks git what is released. A work tree with changes has no name that
// would bring it back.
func (r *release) describe(ctx context.Context) error {
	var err error
	if r.version, err = r.git(ctx, "describe", "--tags", "--always", "--dirty"); err != nil {
		return err
	}
	if strings.HasSuffix(r.version, "-dirty") && !r.dirty {
		return errors.New("the work tree has changes that are not committed: commit them, or build with --dirty")
	}
	at, err := r.git(ctx, "show", "--no-patch", "--format=%ct", "HEAD")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return fmt.Errorf("git says that the commit is of %q: %w", at, err)
	}
	r.at = time.Unix(seconds, 0).UTC()
	return nil
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	git := exec.CommandContext(ctx, "git", args...)
	git.Dir, git.Stderr = r.root, os.Stderr
	said, err := git.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w; a release is built in a clone", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(said)), nil
}

// checksums writes SHA256SUMS, as sha256sum --check reads it.
func checksums(dir string, names []string) error {
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(content), name)
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(text.String()), 0o644)
}
