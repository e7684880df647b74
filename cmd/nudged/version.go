package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker in releases (deploy/build). Where the program was built in a
// work tree of git, the commit is known without it.
var version, commit = "dev", ""

type versionInfo struct {
	Version      string            `json:"version"`
	Commit       string            `json:"commit,omitempty"`
	Go           string            `json:"go"`
	Platform     string            `json:"platform"`
	Dependencies map[string]string `json:"dependencies"`
}

func versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go and dependencies",
		Example: "  nudged version --format json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			v := versionInfo{Version: version, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Dependencies: map[string]string{}}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" && commit == "" {
						v.Commit = s.Value
					}
				}
				for _, m := range info.Deps {
					v.Dependencies[m.Path] = m.Version
				}
			}
			if format == "json" {
				return json.NewEncoder(c.OutOrStdout()).Encode(v)
			}
			fmt.Fprintf(c.OutOrStdout(), "nudged %s %s %s %s\n", v.Version, v.Commit, v.Go, v.Platform)
			for _, name := range []string{"github.com/twmb/franz-go", "github.com/redis/go-redis/v9", "cel.dev/cel-go"} {
				fmt.Fprintf(c.OutOrStdout(), "  %s %s\n", name, v.Dependencies[name])
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}
