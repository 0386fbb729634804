package cri

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Ask is Describe for a kubelet of today: a runtime without version 1 of the interface is ErrNoV1. The error is fs.ErrNotExist when
// its socket is not there, syscall.ECONNREFUSED when nobody listens on it, and context.DeadlineExceeded when there is no answer in time.
func Ask(ctx context.Context, endpoint string) (Description, error) {
	socket := strings.TrimPrefix(endpoint, "unix://")
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return Description{}, err
	}
	d, err := Describe(ctx, endpoint)
	if err == nil && !d.V1 {
		err = ErrNoV1
	}
	return d, err
}

// failure is an error of an answer in one of the forms that Ask names.
func failure(err error) error {
	message := status.Convert(err).Message()
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return lateError{}
	case codes.Unavailable:
		for _, known := range []error{syscall.ECONNREFUSED, syscall.EACCES, syscall.ENOENT} {
			if strings.Contains(message, known.Error()) { // grpc wraps no errors
				return known
			}
		}
	}
	return errors.New(message)
}

// lateError reports that there is no answer in time.
type lateError struct{}

func (lateError) Error() string        { return fmt.Sprintf("no answer within %s", answerTimeout) }
func (lateError) Is(target error) bool { return target == context.DeadlineExceeded }
