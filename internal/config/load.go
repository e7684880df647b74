package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/nudged/nudged/rules/rulefile"
)

// Duration is a span of time, written like in rules: 100ms, 90s, 7d.
type Duration time.Duration

// UnmarshalText reads the written form.
func (d *Duration) UnmarshalText(text []byte) error {
	ms, err := rulefile.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(time.Duration(ms) * time.Millisecond)
	return nil
}

// MarshalText writes it as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// envPrefix begins the names of the variables that override keys.
const envPrefix = "NUDGED"

// Load reads the file over the defaults, and the environment over the file. An
// empty path reads no file. lookup is os.LookupEnv, or what stands for it. The
// result is validated; every problem is in the error.
func Load(path string, lookup func(string) (string, bool)) (Config, error) {
	c := Default()
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return c, fmt.Errorf("configuration: %w", err)
		}
		if err := decode(text, &c); err != nil {
			return c, fmt.Errorf("configuration %w", placed(path, err))
		}
	}
	errs := override(reflect.ValueOf(&c).Elem(), envPrefix, lookup)
	errs = append(errs, readSecrets(&c)...)
	if err := c.Validate(); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// decode reads YAML over what c holds. A file without a key changes nothing; the
// library would set all of c to zero.
func decode(text []byte, c *Config) error {
	var held any
	if err := yaml.Unmarshal(text, &held); err == nil && held == nil {
		return nil
	}
	return yaml.UnmarshalWithOptions(text, c, yaml.Strict())
}

// placed says where in the file an error is. The lines themselves are not shown, as
// the library would: passwords may be among them.
func placed(path string, err error) error {
	var located yaml.Error
	if !errors.As(err, &located) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if tk := located.GetToken(); tk != nil && tk.Position != nil {
		path = fmt.Sprintf("%s:%d:%d", path, tk.Position.Line, tk.Position.Column)
	}
	return fmt.Errorf("%s: %s", path, located.GetMessage())
}

// override sets every key for which there is a variable: its path in upper case,
// joined by underscores. Lists are separated by commas.
func override(v reflect.Value, name string, lookup func(string) (string, bool)) []error {
	var errs []error
	if _, text := v.Addr().Interface().(interface{ UnmarshalText([]byte) error }); v.Kind() == reflect.Struct && !text {
		for i := range v.NumField() {
			key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if key == "" || key == "-" {
				continue
			}
			errs = append(errs, override(v.Field(i), name+"_"+strings.ToUpper(key), lookup)...)
		}
		return errs
	}
	text, ok := lookup(name)
	if !ok {
		return nil
	}
	if err := set(v, text); err != nil {
		errs = append(errs, fmt.Errorf("environment variable %s=%q: %w", name, text, err))
	}
	return errs
}

func set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(interface{ UnmarshalText([]byte) error }); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("expected true or false")
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("expected a whole number")
		}
		v.SetInt(int64(n))
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := set(p.Elem(), text); err != nil {
			return err
		}
		v.Set(p)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String {
			v.SetLen(0)
			for part := range strings.SplitSeq(text, ",") {
				e := reflect.New(v.Type().Elem()).Elem()
				e.SetString(strings.TrimSpace(part))
				v.Set(reflect.Append(v, e))
			}
			return nil
		}
		return yaml.Unmarshal([]byte(text), v.Addr().Interface())
	default:
		return yaml.Unmarshal([]byte(text), v.Addr().Interface())
	}
	return nil
}

const hidden = "(hidden)"

// Print writes the configuration as YAML, secrets hidden.
func Print(c Config) (string, error) {
	forgetSecrets(&c)
	hide(reflect.ValueOf(&c).Elem())
	text, err := yaml.Marshal(c)
	return string(text), err
}

func hide(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Tag.Get("secret") == "true" {
			hideSecret(f)
			continue
		}
		hide(f)
	}
}

// hideSecret hides a text, or each of several. What the caller holds stays.
func hideSecret(v reflect.Value) {
	switch x := v.Interface().(type) {
	case string:
		if x != "" {
			v.SetString(hidden)
		}
	case []string:
		shown := make([]string, len(x))
		for i := range x {
			shown[i] = hidden
		}
		v.Set(reflect.ValueOf(shown))
	case map[string]string:
		shown := make(map[string]string, len(x))
		for name := range x {
			shown[name] = hidden
		}
		v.Set(reflect.ValueOf(shown))
	}
}

// Secrets returns what Print hides of a configuration, for those who must not show
// it either.
func Secrets(c *Config) []string {
	return secretsIn(reflect.ValueOf(c).Elem())
}

func secretsIn(v reflect.Value) []string {
	if v.Kind() != reflect.Struct {
		return nil
	}
	var out []string
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Tag.Get("secret") != "true" {
			out = append(out, secretsIn(f)...)
			continue
		}
		switch x := f.Interface().(type) {
		case string:
			out = append(out, x)
		case []string:
			out = append(out, x...)
		case map[string]string:
			for _, value := range x {
				out = append(out, value)
			}
		}
	}
	return out
}
