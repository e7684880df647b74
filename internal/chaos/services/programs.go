package services

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Programs says where the servers' programs are.
type Programs struct {
	Java, KafkaJars, Log4j, RedisServer string
}

// FindPrograms asks deploy/local/programs, which fetches what is missing. root is
// the folder of the module.
func FindPrograms(ctx context.Context, root string) (Programs, error) {
	var p Programs
	cmd := exec.CommandContext(ctx, filepath.Join(root, "deploy/local/programs"))
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return p, fmt.Errorf("deploy/local/programs: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "JAVA":
			p.Java = value
		case "KAFKA_JARS":
			p.KafkaJars = value
		case "LOG4J":
			p.Log4j = value
		case "REDIS_SERVER":
			p.RedisServer = value
		}
	}
	if p.Java == "" || p.KafkaJars == "" || p.RedisServer == "" {
		return p, fmt.Errorf("deploy/local/programs printed only %q", out)
	}
	return p, nil
}
