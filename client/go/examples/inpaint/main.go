// Command inpaint uploads a picture and draws a rectangle of it again.
//
//	go run sakuga.dev/go/examples/inpaint prompt.xml girl.png changed.png
package main

import (
	"context"
	"fmt"
	"os"

	sakuga "sakuga.dev/go"
	generationv1 "sakuga.dev/go/generation/v1"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: inpaint PROMPT PICTURE CHANGED")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, from, picture, to string) error {
	prompt, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	client, err := sakuga.New("")
	if err != nil {
		return err
	}
	defer client.Close()

	asset, err := client.UploadAssetFile(ctx, picture)
	if err != nil {
		return err
	}
	request := sakuga.FromImage(sakuga.Request(string(prompt)), sakuga.UploadedImage(asset), 0.8)
	width, height := asset.GetPicture().GetWidth(), asset.GetPicture().GetHeight()
	request.Width, request.Height = width, height
	sakuga.InpaintBox(request, &generationv1.Box{Left: width / 4, Top: height / 4, Width: width / 2, Height: height / 2})
	job, err := client.Generate(ctx, request)
	if err != nil {
		return err
	}
	pictures, err := job.Pictures()
	if err != nil {
		return err
	}
	return pictures[0].Save(to)
}
