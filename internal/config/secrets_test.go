package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPasswordsFromFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := func(vars map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	}
	c, err := Load("", env(map[string]string{
		"NUDGED_KAFKA_SASL_MECHANISM":         "PLAIN",
		"NUDGED_KAFKA_SASL_USERNAME":          "nudged",
		"NUDGED_KAFKA_SASL_PASSWORD_FILE":     write("kafka", " k pass \n"),
		"NUDGED_REDIS_PASSWORD_FILE":          write("redis", "r\r\n"),
		"NUDGED_REDIS_SENTINEL_PASSWORD_FILE": write("sentinel", "s"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Kafka.SASL.Password != " k pass " || c.Redis.Password != "r" || c.Redis.SentinelPassword != "s" {
		t.Errorf("read %q, %q, %q", c.Kafka.SASL.Password, c.Redis.Password, c.Redis.SentinelPassword)
	}
	printed, err := Print(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed, "k pass") || !strings.Contains(printed, filepath.Join(dir, "kafka")) {
		t.Errorf("printed, the password should be hidden and its file named:\n%s", printed)
	}

	again, err := Load(write("printed.yaml", printed), env(nil))
	if err != nil || again.Kafka.SASL.Password != " k pass " {
		t.Errorf("what was printed, read again: password %q, %v", again.Kafka.SASL.Password, err)
	}

	_, err = Load("", env(map[string]string{
		"NUDGED_KAFKA_SASL_PASSWORD":          "x",
		"NUDGED_KAFKA_SASL_PASSWORD_FILE":     write("kafka", "y"),
		"NUDGED_REDIS_PASSWORD_FILE":          filepath.Join(dir, "absent"),
		"NUDGED_REDIS_SENTINEL_PASSWORD_FILE": write("empty", "\n"),
	}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"kafka.sasl.password and kafka.sasl.password_file: both", "redis.password_file: open ", "redis.sentinel_password_file: " + filepath.Join(dir, "empty") + " is empty",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q:\n%v", part, err)
		}
	}
}
