//! `sakuga.prompt.v1.PromptService`: checks and converts, and never waits for the device.

use std::sync::Arc;

use sakuga_proto::prompt::v1::prompt_service_server::PromptService;
use sakuga_proto::prompt::v1::{
    FormatPromptRequest, FormatPromptResponse, GetSchemaRequest, GetSchemaResponse, ParsePromptRequest,
    ParsePromptResponse, ValidatePromptRequest, ValidatePromptResponse, validate_prompt_request,
};
use sakuga_schema::{CheckOptions, Severity};
use tonic::{Request, Response, Status};

use super::{CallAlive, Context, off_reactor};
use crate::error::{ServerError, Violation};
use crate::limits::Limits;
use crate::request::{INNER_NEGATIVE, PromptForm, RequestRules, before_text, describe, over_long};
use crate::wire::{from_proto, to_proto};

/// Checks and converts prompts.
pub(crate) struct Prompts {
    context: Arc<Context>,
}

impl Prompts {
    /// The service.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl PromptService for Prompts {
    async fn validate_prompt(
        &self,
        request: Request<ValidatePromptRequest>,
    ) -> Result<Response<ValidatePromptResponse>, Status> {
        let context = self.context.clone();
        off_reactor(move |alive| validate(&context, alive, request.into_inner())).await.map(Response::new)
    }

    async fn parse_prompt(
        &self,
        request: Request<ParsePromptRequest>,
    ) -> Result<Response<ParsePromptResponse>, Status> {
        let context = self.context.clone();
        off_reactor(move |_| parse(&context, request.into_inner())).await.map(Response::new)
    }

    async fn format_prompt(
        &self,
        request: Request<FormatPromptRequest>,
    ) -> Result<Response<FormatPromptResponse>, Status> {
        let context = Arc::clone(&self.context);
        off_reactor(move |_| format(&context, request.into_inner())).await.map(Response::new)
    }

    async fn get_schema(&self, _: Request<GetSchemaRequest>) -> Result<Response<GetSchemaResponse>, Status> {
        let descriptor_set = sakuga_proto::FILE_DESCRIPTOR_SET.to_vec();
        Ok(Response::new(GetSchemaResponse { xsd: sakuga_schema::XSD.into(), descriptor_set }))
    }
}

fn validate(
    context: &Context,
    alive: &CallAlive,
    request: ValidatePromptRequest,
) -> Result<ValidatePromptResponse, ServerError> {
    let model = context.models.find("model", &request.model)?;
    let rules = RequestRules::of(model);
    let mut faults = Vec::new();
    let options = rules.check_options(from_proto::strictness(request.strictness, &mut faults));
    let form = match request.prompt {
        Some(validate_prompt_request::Prompt::Xml(text)) => Some(PromptForm::Text(text)),
        Some(validate_prompt_request::Prompt::Typed(typed)) => {
            Some(PromptForm::Typed(Box::new(from_proto::typed(&typed, &mut faults))))
        }
        None => {
            let text = "there is nothing to check; set `xml` to the prompt's text or `typed` to its typed form";
            faults.push(Violation::new("prompt", Violation::REQUIRED, text));
            None
        }
    };
    let Some(form) = form.filter(|_| faults.is_empty()) else { return Err(ServerError::InvalidRequest(faults)) };
    let checked = form.check(&options);
    alive.check()?;
    let valid = checked.is_valid();
    let mut response = ValidatePromptResponse { valid, ..ValidatePromptResponse::default() };
    let mut diagnostics = checked.diagnostics;
    diagnostics.retain(|finding| rules.holds(finding));
    response.system_prompt = checked.system_prompt.clone().unwrap_or_default();
    response.negative_system_prompt = checked.negative_system_prompt.clone().unwrap_or_default();
    if let Some(prompt) = &checked.prompt {
        response.canonical_xml = prompt.to_xml();
        response.model_text = rules.model_text(prompt);
        let system_prompt = checked.system_prompt.map(before_text);
        let system_prompt = system_prompt.as_deref().unwrap_or_else(|| rules.default_system_prompt(prompt));
        let counts = model.tokens.count(system_prompt, &response.model_text);
        diagnostics.extend(over_long::findings("", &form.text(), &response.model_text, &counts));
        response.token_counts = counts.iter().map(to_proto::token_count).collect();
        if let Some(negative) = &checked.negative {
            response.negative_canonical_xml = negative.to_xml();
            response.negative_model_text = rules.negative_text(negative);
            let own = checked.negative_system_prompt.map(before_text);
            let counts = model.tokens.count(own.as_deref().unwrap_or(system_prompt), &response.negative_model_text);
            let read = &response.negative_model_text;
            diagnostics.extend(over_long::findings(INNER_NEGATIVE, &form.text(), read, &counts));
            response.negative_token_counts = counts.iter().map(to_proto::token_count).collect();
        }
    }
    response.diagnostics = to_proto::diagnostics(&diagnostics);
    Ok(response)
}

fn parse(context: &Context, request: ParsePromptRequest) -> Result<ParsePromptResponse, ServerError> {
    let mut faults = Vec::new();
    let options = RequestRules::of(context.models.default_model())
        .check_options(from_proto::strictness(request.strictness, &mut faults));
    // The request names no model.
    let checked = sakuga_schema::check(&request.xml, &CheckOptions { model_tags: None, ..options });
    faults.extend(checked.diagnostics.iter().filter(|finding| finding.severity == Severity::Error).map(|finding| {
        let field = if finding.path.is_empty() { "xml" } else { &finding.path };
        Violation::new(field, finding.code, describe(finding))
    }));
    match checked.prompt {
        Some(prompt) if faults.is_empty() => Ok(ParsePromptResponse {
            prompt: Some((&prompt).into()),
            system_prompt: checked.system_prompt.unwrap_or_default(),
            negative: checked.negative.as_ref().map(Into::into),
            negative_system_prompt: checked.negative_system_prompt.unwrap_or_default(),
            diagnostics: to_proto::diagnostics(&checked.diagnostics),
        }),
        None if faults.is_empty() => {
            Err(ServerError::invalid("xml", Violation::REQUIRED, "the text holds no prompt; write at least a caption"))
        }
        _ => Err(ServerError::InvalidRequest(faults)),
    }
}

fn format(context: &Context, request: FormatPromptRequest) -> Result<FormatPromptResponse, ServerError> {
    let Some(typed) = request.prompt else {
        return Err(ServerError::invalid("prompt", Violation::REQUIRED, "there is nothing to write; set `prompt`"));
    };
    let mut faults = Vec::new();
    let prompt = from_proto::typed(&typed, &mut faults);
    if !faults.is_empty() {
        return Err(ServerError::InvalidRequest(faults));
    }
    let (canonical_xml, model_text) =
        (prompt.to_xml(), RequestRules::of(context.models.default_model()).model_text(&prompt));
    let bytes = canonical_xml.len() + model_text.len();
    if bytes > Limits::CONTENT_BYTES_MAX {
        let text =
            format!("its two texts have {bytes} bytes, more than the {} of an answer", Limits::CONTENT_BYTES_MAX);
        return Err(ServerError::invalid("prompt", Violation::BAD_TEXT, text));
    }
    Ok(FormatPromptResponse { canonical_xml, model_text })
}
