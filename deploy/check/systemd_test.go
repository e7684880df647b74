package check

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const unitFile = "deploy/systemd/nudged.service"

// unit is the unit with a program that exists on this machine.
func unit(t *testing.T, text string) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		leaveOut(t, "there is no systemd-analyze to check the unit with")
	}
	return write(t, "nudged.service", strings.ReplaceAll(text, "/usr/local/bin/nudged", program))
}

// systemd warns of what it does not know, and ends well.
func verify(t *testing.T, file string) string {
	t.Helper()
	e := command(t, nil, "systemd-analyze", "verify", "--man=no", file)
	if e.code != 0 {
		return e.stdout + e.stderr + "exit code"
	}
	return e.stdout + e.stderr
}

func TestUnitIsValid(t *testing.T) {
	text := read(t, unitFile)
	if said := verify(t, unit(t, text)); said != "" {
		t.Error(said)
	}
	if said := verify(t, unit(t, strings.Replace(text, "ProtectHome", "ProtectHume", 1))); said == "" {
		t.Error("systemd-analyze does not find mistakes")
	}
	said := output(t, nil, "systemd-analyze", "security", "--offline=true", "--threshold=20", unit(t, text))
	if !strings.Contains(said, "Overall exposure level") {
		t.Errorf("systemd-analyze security says %s", said)
	}
}

func TestUnitRunsNudged(t *testing.T) {
	text := read(t, unitFile)
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/nudged (.*)$`).FindStringSubmatch(text)
	if start == nil {
		t.Fatal("no ExecStart")
	}
	requireKnownFlags(t, strings.Fields(start[1]))
	// Wrong use ends with 2, and starting it again would not help.
	if e := command(t, nil, program, "run", "--config", "/nowhere.yaml"); e.code != 2 || !strings.Contains(text, "\nRestartPreventExitStatus=2\n") {
		t.Errorf("a missing configuration ends with code %d", e.code)
	}
}
