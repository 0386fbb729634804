package config

import "fmt"

const gib = 1 << 30

// Reservation is what is kept from pods on a machine of a size: for kubelet and the container runtime, and for the rest of the
// system.
type Reservation struct{ Kube, System map[string]string }

// Reserve is the reservation for a kubelet of a minor release, 0 for any, on a machine with so much memory, in bytes, and so many CPUs. For
// kubelet it is by the formula of GKE, which Amazon EKS and image-builder use as well
// (cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes): of the memory 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the
// next 8, 6 % of the next 112 and 2 % of what is above; 255 MiB of a machine with less than 1 GiB; of the CPUs 6 % of the first, 1 % of the
// second, 0.5 % of the next two and 0.25 % of the others. The rest of the system gets what the example of the Kubernetes documentation has
// (tasks/administer-cluster/reserve-compute-resources). Process IDs can be reserved from 1.14 on.
func Reserve(minor Minor, memory uint64, cpus int) Reservation {
	r := Reservation{
		Kube: map[string]string{
			"cpu": fmt.Sprintf("%dm", reservedCPU(cpus)), "memory": fmt.Sprintf("%dMi", reservedMemory(memory)>>20),
			"ephemeral-storage": "1Gi", "pid": "1000",
		},
		System: map[string]string{"cpu": "100m", "memory": "100Mi", "ephemeral-storage": "1Gi", "pid": "1000"},
	}
	if minor != 0 && minor < 14 {
		delete(r.Kube, "pid")
		delete(r.System, "pid")
	}
	return r
}

// reservedMemory is in bytes.
func reservedMemory(memory uint64) (reserved uint64) {
	if memory < gib {
		return 255 << 20
	}
	for _, step := range []struct{ size, percent uint64 }{{4 * gib, 25}, {4 * gib, 20}, {8 * gib, 10}, {112 * gib, 6}, {memory, 2}} {
		part := min(memory, step.size)
		reserved += part * step.percent / 100
		memory -= part
	}
	return reserved
}

// reservedCPU is in thousandths of a CPU, rounded up.
func reservedCPU(cpus int) int {
	hundredths := 0 // of a thousandth
	for n := range cpus {
		switch {
		case n == 0:
			hundredths += 6000
		case n == 1:
			hundredths += 1000
		case n < 4:
			hundredths += 500
		default:
			hundredths += 250
		}
	}
	return (hundredths + 99) / 100
}
