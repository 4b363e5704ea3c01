package sakuga_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	sakuga "sakuga.dev/go"
	assetv1 "sakuga.dev/go/asset/v1"
	generationv1 "sakuga.dev/go/generation/v1"
)

const prompt = "<character_1><n>$character_1$</n><gender>1girl</gender><appearance>blue_hair</appearance></character_1>"

// environment is a variable that `cargo xtask test languages` sets for servers that it has started.
func environment(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set; `cargo xtask test languages` starts the servers", name)
	}
	return value
}

func connect(t *testing.T, address string, options ...sakuga.Option) *sakuga.Client {
	t.Helper()
	client, err := sakuga.New(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func server(t *testing.T) *sakuga.Client { return connect(t, environment(t, "SAKUGA_TEST_SERVER")) }

func request(steps uint32) *generationv1.GenerateRequest {
	request := sakuga.Request(prompt)
	request.Seed, request.Width, request.Height = proto.Uint64(7), 64, 64
	request.Sampling = &generationv1.Sampling{Steps: steps}
	return request
}

func TestValidateNamesPlaceAndFix(t *testing.T) {
	report, err := server(t).Validate(t.Context(), strings.Replace(prompt, "appearance>", "appearence>", 2))
	if err != nil || !report.GetValid() {
		t.Fatalf("%v %v", report, err)
	}
	found := report.GetDiagnostics()[0]
	edits := found.GetFix().GetEdits()
	if found.GetCode() != "unknown-element" || found.GetLine() != 1 || found.GetColumn() < 2 || len(edits) == 0 ||
		edits[0].GetReplacement() != "appearance" {
		t.Fatal(found)
	}
}

func TestGenerateSendsPreviewsStatisticsAndThePicture(t *testing.T) {
	request := request(20)
	request.Preview = &generationv1.PreviewOptions{Method: generationv1.PreviewMethod_PREVIEW_METHOD_LINEAR}
	request.GpuStatsIntervalMs = 100
	job, err := server(t).Generate(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var steps, previews, samples int
	for event, err := range job.Events() {
		if err != nil {
			t.Fatal(err)
		}
		switch event.GetEvent().(type) {
		case *generationv1.GenerateEvent_Step:
			steps++
		case *generationv1.GenerateEvent_Preview:
			previews++
		case *generationv1.GenerateEvent_GpuStats:
			samples++
		}
	}
	pictures, err := job.Pictures()
	if err != nil {
		t.Fatal(err)
	}
	if steps != 20 || previews == 0 || samples == 0 || len(pictures) != 1 {
		t.Fatalf("%d steps, %d previews, %d samples, %d pictures", steps, previews, samples, len(pictures))
	}
	picture := pictures[0]
	if !bytes.HasPrefix(picture.Data, []byte("\x89PNG\r\n")) || picture.Info.GetWidth() != 64 ||
		picture.Info.GetMetadata().GetSeed() != 7 {
		t.Fatal(picture.Info)
	}
}

func TestCancelEndsTheJob(t *testing.T) {
	client := server(t)
	job, err := client.Create(t.Context(), request(200), nil)
	if err != nil {
		t.Fatal(err)
	}
	for event, err := range job.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if event.GetStep().GetIndex() == 2 {
			if err := job.Cancel(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = job.Pictures()
	var cancelled *sakuga.CancelledError
	if !errors.As(err, &cancelled) || cancelled.AtStep < 2 ||
		cancelled.Reason != generationv1.CancelReason_CANCEL_REASON_REQUESTED {
		t.Fatal(err)
	}
	kept, err := client.Job(t.Context(), job.ID)
	if err != nil || kept.GetState() != generationv1.JobState_JOB_STATE_CANCELLED {
		t.Fatal(kept, err)
	}
}

func TestClosingEndsAGeneratedJob(t *testing.T) {
	client := server(t)
	job, err := client.Generate(t.Context(), request(200))
	if err != nil {
		t.Fatal(err)
	}
	job.Close()
	for range 100 {
		kept, err := client.Job(t.Context(), job.ID)
		if err == nil && kept.GetState() == generationv1.JobState_JOB_STATE_CANCELLED {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the job was not cancelled")
}

// cut forwards connections and cuts the first one after some bytes from the server.
func cut(t *testing.T, server string, after int64) (string, *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var connections atomic.Int32
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(server, "http://"))
			if err != nil {
				_ = client.Close()
				continue
			}
			isFirst := connections.Add(1) == 1
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() {
				if isFirst {
					_, _ = io.CopyN(client, server, after)
				} else {
					_, _ = io.Copy(client, server)
				}
				_, _ = client.Close(), server.Close()
			}()
		}
	}()
	return "http://" + listener.Addr().String(), &connections
}

func TestEventsContinueAfterACut(t *testing.T) {
	proxy, connections := cut(t, environment(t, "SAKUGA_TEST_SERVER"), 3000)
	job, err := connect(t, proxy).Create(t.Context(), request(60), nil)
	if err != nil {
		t.Fatal(err)
	}
	var steps []uint32
	for event, err := range job.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if step := event.GetStep(); step != nil {
			steps = append(steps, step.GetIndex())
		}
	}
	for index, step := range steps {
		if step != uint32(index+1) {
			t.Fatalf("steps are lost or repeated: %v", steps)
		}
	}
	pictures, err := job.Pictures()
	if err != nil || len(pictures) != 1 || len(steps) != 60 || connections.Load() < 2 {
		t.Fatal(err, len(steps), connections.Load())
	}
}

func TestAnotherClientResumesAfterAnEvent(t *testing.T) {
	client := server(t)
	job, err := client.Create(t.Context(), request(12), nil)
	if err != nil {
		t.Fatal(err)
	}
	for event, err := range job.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if event.GetStep().GetIndex() == 3 {
			break
		}
	}
	last := job.LastSequence()
	job.Close()
	job = connect(t, environment(t, "SAKUGA_TEST_SERVER")).Watch(t.Context(), job.ID, last)
	event, err := job.Next()
	if err != nil || event.GetSequence() <= *last {
		t.Fatal(event, err)
	}
	if pictures, err := job.Pictures(); err != nil || len(pictures) != 1 {
		t.Fatal(err)
	}
	// The pieces of the picture were sent before this event, so the picture is fetched.
	kept, err := client.Job(t.Context(), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	end := kept.GetNextSequence() - 2
	if pictures, err := client.Watch(t.Context(), job.ID, &end).Pictures(); err != nil || len(pictures) != 1 {
		t.Fatal(err)
	}
}

func TestARefusalIsDecoded(t *testing.T) {
	wrong := sakuga.Request("<character_1><gender>robot</gender></character_1>")
	wrong.Sampling = &generationv1.Sampling{Steps: 999}
	_, err := server(t).Generate(t.Context(), wrong)
	var refused *sakuga.Error
	if !errors.As(err, &refused) || refused.Accepted || refused.Code != codes.InvalidArgument ||
		refused.Reason != "INVALID_REQUEST" || refused.Domain != "sakuga.dev" || len(refused.Violations) < 2 {
		t.Fatalf("%#v", err)
	}
	fields := map[string]bool{}
	for _, found := range refused.Violations {
		fields[found.Field] = true
	}
	if !fields["sampling.steps"] || status.Code(err) != codes.InvalidArgument {
		t.Fatal(refused)
	}
}

func TestAFullServerSaysWhenToTryAgain(t *testing.T) {
	client := server(t)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	for range 64 {
		_, err := client.Generate(ctx, request(200))
		var refused *sakuga.Error
		if errors.As(err, &refused) {
			if refused.Code != codes.ResourceExhausted || refused.RetryAfter <= 0 || refused.Reason == "" {
				t.Fatalf("%#v", refused)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the server accepted every job")
}

func TestTLSWithAToken(t *testing.T) {
	address, token := environment(t, "SAKUGA_TEST_TLS_SERVER"), environment(t, "SAKUGA_TEST_TOKEN")
	ca, err := os.ReadFile(environment(t, "SAKUGA_TEST_CA"))
	if err != nil {
		t.Fatal(err)
	}
	job, err := connect(t, address, sakuga.WithCA(ca), sakuga.WithToken(token)).Generate(t.Context(), request(2))
	if err != nil {
		t.Fatal(err)
	}
	if pictures, err := job.Pictures(); err != nil || len(pictures) != 1 {
		t.Fatal(err)
	}
	_, err = connect(t, address, sakuga.WithCA(ca)).Models(t.Context())
	var refused *sakuga.Error
	if !errors.As(err, &refused) || refused.Code != codes.Unauthenticated || refused.Reason != "TOKEN_MISSING" {
		t.Fatal(err)
	}
}

func TestTheExamplesRun(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "prompt.xml"), filepath.Join(t.TempDir(), "picture.png")
	if err := os.WriteFile(from, []byte(prompt), 0o600); err != nil {
		t.Fatal(err)
	}
	example := exec.CommandContext(t.Context(), "go", "run", "./examples/generate", from, to)
	example.Env = append(os.Environ(), "SAKUGA_SERVER="+environment(t, "SAKUGA_TEST_SERVER"))
	if output, err := example.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	changed := filepath.Join(t.TempDir(), "changed.png")
	example = exec.CommandContext(t.Context(), "go", "run", "./examples/inpaint", from, to, changed)
	example.Env = append(os.Environ(), "SAKUGA_SERVER="+environment(t, "SAKUGA_TEST_SERVER"))
	if output, err := example.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, file := range []string{to, changed} {
		if picture, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(picture, []byte("\x89PNG")) {
			t.Fatal(err)
		}
	}
}

// The first Go program of the README draws a picture as it stands, in ten lines apart from the imports and the checks of errors.
func TestTheLinesOfTheReadmeDraw(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(readme), "```go\n")
	program, _, closed := strings.Cut(program, "```\n")
	if !found || !closed {
		t.Fatal("README.md has no Go program")
	}
	_, body, _ := strings.Cut(program, "func main() {\n")
	body = regexp.MustCompile(`(?m)^\s*if err != nil {\n\s*log\.Fatal\(err\)\n\s*}\n|^\s*}\n`).ReplaceAllString(body, "")
	if lines := strings.Count(body, "\n"); lines == 0 || lines > 10 {
		t.Errorf("%d lines:\n%s", lines, body)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(folder, "program")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, file)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	run := exec.CommandContext(t.Context(), binary)
	run.Dir, run.Env = folder, append(os.Environ(), "SAKUGA_SERVER="+environment(t, "SAKUGA_TEST_SERVER"))
	output, err := run.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "step 1 of ") {
		t.Fatalf("%v\n%s", err, output)
	}
	if picture, err := os.ReadFile(filepath.Join(folder, "girl.png")); err != nil || !bytes.HasPrefix(picture, []byte("\x89PNG")) {
		t.Fatal(err)
	}
}

// tensors is a safetensors file with so many bytes of data.
func tensors(size int) []byte {
	header := fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, size, size)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(file, header...)
	for i := range size {
		file = append(file, byte(i*i/7))
	}
	return file
}

func TestImagesAreUploadedAndInpainted(t *testing.T) {
	client := server(t)
	job, err := client.Generate(t.Context(), request(1))
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := job.Pictures()
	if err != nil {
		t.Fatal(err)
	}
	asset, err := client.UploadAsset(t.Context(), bytes.NewReader(pictures[0].Data))
	if err != nil || asset.GetPicture().GetWidth() != 64 {
		t.Fatal(asset, err)
	}
	changed := sakuga.FromImage(request(4), sakuga.UploadedImage(asset), 0.5)
	sakuga.InpaintBox(changed, &generationv1.Box{Left: 16, Top: 16, Width: 32, Height: 32})
	job, err = client.Generate(t.Context(), changed)
	if err != nil {
		t.Fatal(err)
	}
	if pictures, err = job.Pictures(); err != nil {
		t.Fatal(err)
	}
	resolved := pictures[0].Info.GetMetadata().GetRequest()
	if resolved.GetInit().GetImage().GetAsset() != asset.GetSha256() || len(resolved.GetMask().GetBoxes()) != 1 {
		t.Fatal(resolved)
	}
	// A mask needs an image to begin from.
	_, err = client.Generate(t.Context(), sakuga.Inpaint(request(1), sakuga.InlineImage(pictures[0].Data), 4))
	var refused *sakuga.Error
	if !errors.As(err, &refused) || len(refused.Violations) == 0 {
		t.Fatal(err)
	}
	if err := client.DeleteAsset(t.Context(), asset.GetSha256()); err != nil {
		t.Fatal(err)
	}
}

func TestAnUploadContinuesWhereItWas(t *testing.T) {
	client, file := server(t), tensors(600_000)
	digest := sha256.Sum256(file)
	stream, err := client.Assets.UploadAsset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := &assetv1.UploadStart{Sha256: hex.EncodeToString(digest[:]), Size: uint64(len(file))}
	for _, part := range []*assetv1.UploadAssetRequest{
		{Part: &assetv1.UploadAssetRequest_Start{Start: start}},
		{Part: &assetv1.UploadAssetRequest_Data{Data: file[:100_000]}},
	} {
		if err := stream.Send(part); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.OutOfRange {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "adapter.safetensors")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	asset, err := client.UploadAssetFile(t.Context(), path)
	if err != nil || asset.GetSha256() != start.GetSha256() || asset.GetTensors().GetTensors() != 1 {
		t.Fatal(asset, err)
	}
	adapter := sakuga.UploadedAdapter(asset, 0.5)
	if adapter.GetSha256() != start.GetSha256() || adapter.GetScale() != 0.5 {
		t.Fatal(adapter)
	}
	if err := client.DeleteAsset(t.Context(), start.GetSha256()); err != nil {
		t.Fatal(err)
	}
}

func TestATokenIsNotSentUnencrypted(t *testing.T) {
	if _, err := sakuga.New("http://gpu-box:50051", sakuga.WithToken("secret")); !errors.Is(err, sakuga.ErrAddress) {
		t.Fatal(err)
	}
	for _, wrong := range []string{"ftp://host", "http://user:secret@host", "http://host/path", "http://"} {
		if _, err := sakuga.New(wrong); !errors.Is(err, sakuga.ErrAddress) || strings.Contains(err.Error(), "secret") {
			t.Fatalf("%s: %v", wrong, err)
		}
	}
}

func TestJobsAreListedAndDeleted(t *testing.T) {
	client := server(t)
	job, err := client.Create(t.Context(), request(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := job.Pictures()
	if err != nil {
		t.Fatal(err)
	}
	data, err := client.Artifact(t.Context(), job.ID, 0)
	if err != nil || !bytes.Equal(data, pictures[0].Data) {
		t.Fatal(err)
	}
	found := false
	for kept, err := range client.ListJobs(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		found = found || kept.GetJobId() == job.ID
	}
	if !found || client.Delete(t.Context(), job.ID) != nil {
		t.Fatal("the job is not listed, or not deleted")
	}
	for sample, err := range client.WatchDevice(t.Context(), nil) {
		if err != nil || sample.GetName() == "" {
			t.Fatal(sample, err)
		}
		break
	}
}
