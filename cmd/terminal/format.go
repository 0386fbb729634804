package terminal

import "fmt"

// Format is the value of --output.
type Format string

// Prometheus is a format of one command alone, status.
const Prometheus Format = "prometheus"

func (f *Format) String() string {
	if *f == "" {
		return "table"
	}
	return string(*f)
}

// Set implements pflag.Value.
func (f *Format) Set(s string) error {
	switch s {
	case "table", "json", "yaml", string(Prometheus):
		*f = Format(s)
		return nil
	}
	return fmt.Errorf("must be table, json or yaml")
}

// Type implements pflag.Value.
func (f *Format) Type() string { return "FORMAT" }
