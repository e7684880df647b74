package check

import (
	"testing"

	"github.com/goccy/go-yaml"
)

// configuration is what of nudged's configuration the surroundings must fit.
type configuration struct {
	Kafka struct {
		Brokers []string
		Group   string
		Topics  struct {
			Events           []string
			Sends, Decisions string
			DeadLetters      string `yaml:"dead_letters"`
		}
		TLS struct {
			CAFile string `yaml:"ca_file"`
		}
		SASL struct{ Mechanism, Username string }
	}
	Redis struct {
		Addrs    []string
		Username string
	}
	Rules string
	HTTP  struct{ Addr string }
}

// configured lets nudged read a configuration and returns what results. env
// stands in for files that exist only where it is deployed.
func configured(t *testing.T, file string, env ...string) configuration {
	t.Helper()
	var c configuration
	text := output(t, env, program, "run", "--config", file, "--print-config")
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, text)
	}
	return c
}

func (c *configuration) topics() []string {
	t := &c.Kafka.Topics
	return append(t.Events[:len(t.Events):len(t.Events)], t.Sends, t.Decisions, t.DeadLetters)
}
