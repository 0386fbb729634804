package spec

import (
	"reflect"
	"testing"
)

// What is chosen for a host stays what it is in later installs, whatever they ask for, until somebody asks for something else.
func TestWithChoices(t *testing.T) {
	t.Parallel()
	choices := []Choice{
		{Flag: "container-runtime-endpoint", Field: "containerRuntimeEndpoint", Value: "unix:///run/x.sock", AsFlag: true},
		{Flag: "resolv-conf", Field: "resolvConf", Value: "/run/resolv.conf", Old: "/etc/resolv.conf", Why: "why"},
	}
	asked := Spec{Flags: map[string]any{"container_runtime_endpoint": "unix:///run/mine.sock"}}
	s, err := asked.WithChoices(choices)
	if err != nil {
		t.Fatal(err)
	}
	const path = "kubeletConfiguration.resolvConf"
	if want := map[string]Origin{path: ByHost}; !reflect.DeepEqual(s.Origins, want) {
		t.Errorf("origins: %v, want %v", s.Origins, want)
	}
	if len(s.Chosen) != 1 || s.Chosen[0].Item != "resolvConf" || s.Chosen[0].Old != "/etc/resolv.conf" || s.Chosen[0].New != "/run/resolv.conf" || s.Chosen[0].Why != "why" {
		t.Errorf("to be told: %+v", s.Chosen)
	}
	if s.unitMode() != 0o600 || asked.unitMode() != 0o644 {
		t.Errorf("modes of the unit: new %o, installed before %o", s.unitMode(), asked.unitMode())
	}

	for _, replace := range []bool{false, true} {
		r, err := asked.Reconcile(s, replace)
		if err != nil {
			t.Fatal(err)
		}
		if want := []Setting{{path, ByHost}}; !reflect.DeepEqual(r.Kept, want) || len(r.Forgotten)+len(r.Dropped) > 0 {
			t.Errorf("replace %v: kept %v, forgotten %v, dropped %v", replace, r.Kept, r.Forgotten, r.Dropped)
		}
		if r.Spec.KubeletConfiguration["resolvConf"] != "/run/resolv.conf" || r.Spec.HostDefaults != s.HostDefaults {
			t.Errorf("replace %v: %+v", replace, r.Spec)
		}
	}

	again, err := s.Rechoose(choices)
	if err != nil || len(again.Chosen) > 0 {
		t.Errorf("the same again: %+v, %v", again.Chosen, err)
	}
	choices[1].Value = "/run/other.conf"
	if again, err = s.Rechoose(choices); err != nil || len(again.Chosen) != 1 || again.Chosen[0].New != "/run/other.conf" {
		t.Errorf("another: %+v, %v", again.Chosen, err)
	}

	without, err := s.WithoutChoices()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := without.Settings(); !reflect.DeepEqual(got, map[string]any{"flags.container_runtime_endpoint": "unix:///run/mine.sock"}) || len(without.Origins) > 0 {
		t.Errorf("without them: %v, origins %v", got, without.Origins)
	}
}
