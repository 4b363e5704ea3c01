"""A checkpoint that draws: from a text to pixels, each part timed. Here of NewBie; `sdxl_drawing.py` has Stable Diffusion XL."""

import hashlib
import time

import torch
from tokenizers import Tokenizer

from . import flow, gemma3, jina_clip, next_dit, vae
from .checkpoint import CheckpointError, read_json, weight_files
from .record import Job, Loading, Stage, Step, Timings

# As model/src/families/newbie/info.rs and text.rs have them.
SYSTEM_PROMPT = (
    "You are an assistant designed to generate high-quality anime images based on xml format prompts. <Prompt Start> "
)
PLAIN_SYSTEM_PROMPT = (
    "You are an assistant designed to generate high-quality anime images with the highest degree of image-text "
    "alignment based on textual prompts. <Prompt Start> "
)
GEMMA_TOKENS, JINA_TOKENS = 512, 2048
SIZE_PX, STEPS, GUIDANCE, SHIFT = 1024, 28, 5.0, 6.0
# Pixels of one latent.
LATENT_PX = 8


class Drawer:
    """The networks of a checkpoint on one device. A family has `conditions`, `denoise`, `decode`, `parts` and `compile`."""

    def __init__(self, folder, device, program_begun):
        self.device, self.program_begun, self.loading = device, program_begun, []
        self.index = read_json(folder / "model_index.json")
        self.name = self.index.get("_sakuga_name", folder.resolve().name)

    def load(self, name, folder, read, dtype):
        """A network, timed."""
        begun = time.perf_counter()
        network = read(folder, self.device, dtype)
        self.finish()
        size = sum(file.stat().st_size for file in weight_files(folder))
        taken_ms = (time.perf_counter() - begun) * 1e3
        self.loading.append(Loading(name, (begun - self.program_begun) * 1e3, taken_ms, size))
        return network

    def parameters(self):
        return {name: sum(weight.numel() for weight in part.parameters()) for name, part in self.parts().items()}

    def system_prompt(self, _text):
        return ""

    def finish(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def time_text(self, text, system_prompt):
        """Milliseconds of the text encoders."""
        self.finish()
        begun = time.perf_counter()
        self.conditions(text, system_prompt)
        self.finish()
        return (time.perf_counter() - begun) * 1e3

    def draw(self, text, seed, size_px, steps, run_begun, sampler):
        """One picture as a record. The device is waited for at every step, as a service that reports each step does."""
        self.finish()
        begun = time.perf_counter()
        job = Job(begun_ms=(begun - run_begun) * 1e3, seed=seed)
        sampler.start(begun)

        def now_ms():
            return (time.perf_counter() - begun) * 1e3

        def stage(name):
            self.finish()
            job.stages.append(Stage(name, now_ms()))

        try:
            stage("text_encode")
            conditions = self.conditions(text, self.system_prompt(text))
            stage("denoise")
            latents = self.denoise(conditions, seed, size_px, steps, job, now_ms)
            stage("decode")
            if self.device.type == "cuda":
                latents = latents.to(memory_format=torch.channels_last)
            pixels = (vae.to_image(self.decode(latents)) * 255).round().to(torch.uint8)
            pixels = pixels[0].permute(1, 2, 0).contiguous().cpu()
            ended = now_ms()
        finally:
            job.stats = sampler.stop()
        text_at, denoise_at, decode_at = (part.at_ms for part in job.stages)
        job.timings = Timings(denoise_at - text_at, decode_at - denoise_at, ended - decode_at, ended)
        job.pixels_sha256 = [hashlib.sha256(pixels.numpy().tobytes()).hexdigest()]
        return job


class NewbieDrawer(Drawer):
    """NewBie: Gemma 3, Jina CLIP, the Next-DiT and FLUX's decoder."""

    solver = "euler"

    def __init__(self, folder, device, dtype, program_begun):
        super().__init__(folder, device, program_begun)
        index = self.index
        self.size_px = index.get("_sakuga_default_size_px", SIZE_PX)
        self.steps = index.get("_sakuga_default_steps", STEPS)
        self.guidance = index.get("_sakuga_default_guidance_scale", GUIDANCE)
        self.until = index.get("_sakuga_default_guidance_until", 1.0)
        self.renorm = index.get("_sakuga_default_guidance_renorm", 0.0)
        self.shift = index.get("_sakuga_default_shift", SHIFT)
        if index.get("_sakuga_default_solver", "euler") != "euler":
            raise CheckpointError("the checkpoint's solver is not euler, the only one here")
        self.gemma_tokens = Tokenizer.from_file(str(folder / "text_encoder" / "tokenizer.json"))
        self.jina_tokens = Tokenizer.from_file(str(folder / "clip_model" / "tokenizer.json"))
        for tokenizer in (self.gemma_tokens, self.jina_tokens):
            tokenizer.no_padding()
            tokenizer.no_truncation()
        self.tower = gemma3.captioner(self.load("gemma3", folder / "text_encoder", gemma3.load, dtype))
        self.clip = self.load("jina_clip", folder / "clip_model", jina_clip.load, dtype)
        self.network = self.load("next_dit", folder / "transformer", next_dit.load, dtype)
        self.decoder = self.load("autoencoder_kl", folder / "vae", vae.load, dtype)
        if device.type == "cuda":
            # Convolutions on tensor cores want channels last.
            self.decoder.to(memory_format=torch.channels_last)
        self.negative = None

    def parts(self):
        return {"gemma3": self.tower, "jina_clip": self.clip, "next_dit": self.network, "autoencoder_kl": self.decoder}

    def compile(self, mode):
        """Block by block; every shape gets its own kernels."""
        # Blocks share their code, so all shapes count against one limit.
        torch._dynamo.config.recompile_limit = 64
        for part in (*self.network.blocks, *self.tower.layers, *self.clip.encoder["layers"], self.decoder):
            part.compile(dynamic=False, mode=mode)

    def system_prompt(self, text):
        default = SYSTEM_PROMPT if text.lstrip().startswith("<") else PLAIN_SYSTEM_PROMPT
        return self.index.get("_sakuga_system_prompt", default)

    def ids(self, tokenizer, text, first, last, limit):
        """Ids of a text between the tokens around it, at most `limit`, [1, L]."""
        before = [tokenizer.token_to_id(first)]
        after = [tokenizer.token_to_id(last)] if last else []
        kept = tokenizer.encode(text, add_special_tokens=False).ids[: limit - len(before) - len(after)]
        return torch.tensor([before + kept + after], device=self.device)

    def encode(self, text, system_prompt):
        """Caption features [1, L, hidden] and pooled features [1, hidden] of a text."""
        gemma_limit = self.index.get("_sakuga_gemma_tokens_max", GEMMA_TOKENS)
        gemma = self.ids(self.gemma_tokens, system_prompt + text, "<bos>", None, gemma_limit)
        jina_limit = self.index.get("_sakuga_jina_tokens_max", JINA_TOKENS)
        jina = self.ids(self.jina_tokens, text, "<s>", "</s>", jina_limit)
        return gemma3.caption_features(self.tower, gemma, torch.ones_like(gemma)), self.clip(jina)

    def conditions(self, text, system_prompt):
        """Row 0 of the texts is the prompt, row 1 the empty negative, which is encoded once and kept."""
        if self.negative is None:
            self.negative = self.encode("", "")
        caption, pooled = self.encode(text, system_prompt)
        empty, empty_pooled = self.negative
        lengths = [caption.shape[1], empty.shape[1]]
        both = caption.new_zeros(2, max(lengths), caption.shape[2])
        both[0, : lengths[0]] = caption[0]
        both[1, : lengths[1]] = empty[0]
        return both, lengths, torch.cat([pooled, empty_pooled])

    def denoise(self, conditions, seed, size_px, steps, job, now_ms):
        caption, lengths, pooled = conditions
        width_px, height_px = size_px
        shape = (1, self.network.config.in_channels, height_px // LATENT_PX, width_px // LATENT_PX)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
        guided = (self.guidance, self.until, self.renorm)
        velocity = flow.guided_velocity(self.network, caption, lengths, pooled, shape, *guided)
        times = flow.ode_times(steps, self.shift)
        self.finish()
        before = now_ms()

        def see(_state):
            nonlocal before
            self.finish()
            after, index = now_ms(), len(job.steps) + 1
            is_guided = self.guidance != 1 and times[index - 1] < self.until
            job.steps.append(Step(index, after - before, after, is_guided))
            before = after

        return flow.euler(velocity, noise, times, see)

    def decode(self, latents):
        return self.decoder(latents)
