//! Answers and refusals as bytes, in the protocol of the service that was asked.

use super::request::Service;
use super::xml::Xml;
use crate::refusal::Refusal;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

/// What an operation answers when it did what it was asked.
#[derive(Debug)]
pub(crate) enum Answer {
    Json(Value),
    /// What stands within `<OperationResult>` (Query) or beside `<requestId>` (EC2).
    Xml(Xml),
}

pub(crate) fn success(service: Service, operation: &str, answer: Answer, request_id: &str) -> Response<Bytes> {
    let body = match answer {
        Answer::Json(value) => return respond(200, JSON, request_id, value.to_string()),
        Answer::Xml(inner) => {
            let mut xml = Xml::default();
            if service == Service::Ec2 {
                xml.leaf("requestId", request_id);
                xml.raw(inner);
            } else {
                xml.branch(&format!("{operation}Result"), |xml| xml.raw(inner));
                xml.branch("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
            }
            format!(
                "<{operation}Response xmlns=\"{}\">{}</{operation}Response>",
                namespace(service),
                xml.into_text()
            )
        }
    };
    respond(200, XML, request_id, body)
}

pub(crate) fn refused(service: Service, refusal: &Refusal, request_id: &str) -> Response<Bytes> {
    if service.speaks_json() {
        return json_refusal(refusal, request_id);
    }
    let mut xml = Xml::default();
    if service == Service::Ec2 {
        xml.branch("Response", |xml| {
            xml.branch("Errors", |xml| {
                xml.branch("Error", |xml| code_and_message(xml, refusal))
            });
            xml.leaf("RequestID", request_id);
        });
    } else {
        xml.branch("ErrorResponse", |xml| {
            xml.branch("Error", |xml| {
                xml.leaf("Type", if refusal.status < 500 { "Sender" } else { "Receiver" });
                code_and_message(xml, refusal);
            });
            xml.leaf("RequestId", request_id);
        });
    }
    respond(refusal.status, XML, request_id, xml.into_text())
}

/// A refusal of what names no service that could be asked.
pub(crate) fn unreadable(json: bool, refusal: &Refusal, request_id: &str) -> Response<Bytes> {
    if json {
        json_refusal(refusal, request_id)
    } else {
        refused(Service::Elb, refusal, request_id)
    }
}

const JSON: &str = "application/x-amz-json-1.1";
const XML: &str = "text/xml";

const fn namespace(service: Service) -> &'static str {
    match service {
        Service::Ec2 => "http://ec2.amazonaws.com/doc/2016-11-15/",
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
        Service::Ecs | Service::Logs | Service::Elb => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    }
}

fn json_refusal(refusal: &Refusal, request_id: &str) -> Response<Bytes> {
    let mut body = json!({ "__type": refusal.code, "message": refusal.message });
    if let Some((name, value)) = &refusal.members {
        body[name] = value.clone();
    }
    respond(refusal.status, JSON, request_id, body.to_string())
}

fn code_and_message(xml: &mut Xml, refusal: &Refusal) {
    xml.leaf("Code", &refusal.code);
    xml.leaf("Message", &refusal.message);
}

fn respond(status: u16, content_type: &str, request_id: &str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE.as_str(), content_type),
        ("x-amzn-requestid", request_id),
    ] {
        if let (Ok(name), Ok(value)) = (header::HeaderName::try_from(name), header::HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    response
}
