package config

import (
	"fmt"
	"os"
	"strings"
)

// secret is a password that may lie in a file.
type secret struct {
	key, file string
	password  *string
}

func (c *Config) secrets() []secret {
	return []secret{
		{"kafka.sasl.password", c.Kafka.SASL.PasswordFile, &c.Kafka.SASL.Password},
		{"redis.password", c.Redis.PasswordFile, &c.Redis.Password},
		{"redis.sentinel_password", c.Redis.SentinelPasswordFile, &c.Redis.SentinelPassword},
	}
}

// forgetSecrets leaves out what was read from files: the files are named.
func forgetSecrets(c *Config) {
	for _, s := range c.secrets() {
		if s.file != "" {
			*s.password = ""
		}
	}
}

// readSecrets fills in the passwords that lie in files.
func readSecrets(c *Config) []error {
	var errs []error
	for _, s := range c.secrets() {
		if s.file == "" {
			continue
		}
		if *s.password != "" {
			errs = append(errs, fmt.Errorf("%s and %s_file: both are given, leave one out", s.key, s.key))
			continue
		}
		text, err := os.ReadFile(s.file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s_file: %w", s.key, err))
			continue
		}
		*s.password = strings.TrimRight(string(text), "\r\n")
		if *s.password == "" {
			errs = append(errs, fmt.Errorf("%s_file: %s is empty", s.key, s.file))
		}
	}
	return errs
}
