// Package browsertest opens a page in a headless Chromium, for tests.
package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"image"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// names under which the browser may be installed.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// Find returns the browser's path. Without one the test is left out, loudly:
// deploy/local/test names it at the end of its run, and installs one before.
func Find(t *testing.T) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("NOT TESTED: no Chromium is installed, so no page was opened in a browser; apt-get install chromium")
	return ""
}

// Widths are those of a desktop's window and of a phone.
var Widths = []int{1280, 390}

// Open shows the page at a width, and fails the test if the console says
// anything, if the page is wider than the window, or if nothing is drawn. The
// picture goes to $NUDGED_SCREENSHOTS if that names a folder.
func Open(t *testing.T, html []byte, width int) {
	t.Helper()
	for _, p := range Problems(t, html, width) {
		t.Errorf("at %d pixels: %s", width, p)
	}
}

// Problems is Open for a test of this package itself.
func Problems(t *testing.T, html []byte, width int) (problems []string) {
	t.Helper()
	dir := t.TempDir()
	// A window cannot be as narrow as a phone, a frame can. The script tells how
	// wide the page came out in it.
	probe := fmt.Sprintf(`<!doctype html><body><iframe id="f" style="border:0;width:%dpx;height:2000px" srcdoc="%s"></iframe><script>
onload = () => { document.body.dataset.width = document.getElementById("f").contentDocument.documentElement.scrollWidth; };
</script></body>`, width, template.HTMLEscapeString(string(html)))
	write(t, filepath.Join(dir, "page.html"), html)
	write(t, filepath.Join(dir, "probe.html"), []byte(probe))

	shot := filepath.Join(dir, "shot.png")
	if to := os.Getenv("NUDGED_SCREENSHOTS"); to != "" {
		shot = filepath.Join(to, fmt.Sprintf("%s-%d.png", strings.ReplaceAll(t.Name(), "/", "-"), width))
	}
	_, console := run(t, dir, width, filepath.Join(dir, "page.html"), "--screenshot="+shot)
	for _, line := range console {
		problems = append(problems, "the console says: "+line)
	}
	if colors := drawn(t, shot, width); colors < 8 {
		problems = append(problems, fmt.Sprintf("hardly anything is drawn: the picture has %d colours", colors))
	}
	dom, _ := run(t, dir, width, filepath.Join(dir, "probe.html"), "--dump-dom")
	m := regexp.MustCompile(`data-width="(\d+)"`).FindStringSubmatch(dom)
	if m == nil {
		t.Fatalf("the page did not tell its width: %.300s", dom)
	}
	if w, _ := strconv.Atoi(m[1]); w > width {
		problems = append(problems, fmt.Sprintf("the page is %d pixels wide", w))
	}
	return problems
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts the browser for one page and returns its output and what the page's
// console said.
func run(t *testing.T, dir string, width int, page string, action string) (out string, console []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, Find(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--enable-logging=stderr", "--hide-scrollbars",
		fmt.Sprintf("--window-size=%d,2400", width), action, "file://"+page)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, stderr.String())
	}
	for _, line := range strings.Split(stderr.String(), "\n") {
		if strings.Contains(line, "CONSOLE") {
			console = append(console, line)
		}
	}
	return stdout.String(), console
}

// drawn counts the colours of a screenshot, up to a hundred.
func drawn(t *testing.T, path string, width int) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Dx(); got != width {
		t.Errorf("the screenshot is %d pixels wide, want %d", got, width)
	}
	colors := map[[3]uint32]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y && len(colors) < 100; y += 2 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 2 {
			r, g, b, _ := img.At(x, y).RGBA()
			colors[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
		}
	}
	return len(colors)
}
