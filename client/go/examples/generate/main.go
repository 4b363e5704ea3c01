// Command generate checks a prompt, draws it with previews, and writes the picture.
//
//	go run sakuga.dev/go/examples/generate prompt.xml picture.png
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"

	sakuga "sakuga.dev/go"
	generationv1 "sakuga.dev/go/generation/v1"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: generate PROMPT PICTURE")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, from, to string) error {
	prompt, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	client, err := sakuga.New("")
	if err != nil {
		return err
	}
	defer client.Close()

	report, err := client.Validate(ctx, string(prompt))
	if err != nil {
		return err
	}
	for _, found := range report.GetDiagnostics() {
		fmt.Printf("%d:%d %s: %s\n", found.GetLine(), found.GetColumn(), found.GetCode(), found.GetMessage())
		if fix := found.GetFix(); fix != nil {
			fmt.Println("  fix:", fix.GetDescription())
		}
	}

	request := sakuga.Request(string(prompt))
	request.Seed = proto.Uint64(7)
	request.Preview = &generationv1.PreviewOptions{Method: generationv1.PreviewMethod_PREVIEW_METHOD_LINEAR}
	job, err := client.Generate(ctx, request)
	var refused *sakuga.Error
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		return fmt.Errorf("try again in %s: %w", refused.RetryAfter, err)
	}
	if err != nil {
		return err
	}
	for event, err := range job.Events() {
		if err != nil {
			return err
		}
		switch event := event.GetEvent().(type) {
		case *generationv1.GenerateEvent_Step:
			fmt.Printf("step %d of %d\n", event.Step.GetIndex(), event.Step.GetTotal())
		case *generationv1.GenerateEvent_Preview:
			fmt.Printf("preview of %d bytes\n", len(event.Preview.GetData()))
		case *generationv1.GenerateEvent_GpuStats:
			fmt.Printf("%s: %d bytes in use\n", event.GpuStats.GetName(), event.GpuStats.GetMemoryUsedBytes())
		}
	}
	pictures, err := job.Pictures()
	if err != nil {
		return err
	}
	return pictures[0].Save(to)
}
